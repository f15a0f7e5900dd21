/** Loaded before a script, it answers --help with the comment that the script begins with. */
import { readFileSync } from 'node:fs';

const [, script = '', ...args] = process.argv;
if (args.includes('--help')) {
  const [, comment = ''] = /^\/\*\*(.*?)\*\//s.exec(readFileSync(script, 'utf8')) ?? [];
  process.stdout.write(`${comment.replaceAll(/^ \* ?/gm, '').trim()}\n`);
  process.exit();
}
