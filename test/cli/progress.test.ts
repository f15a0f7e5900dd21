/** Ctrl-C while a bar is drawn leaves a terminal that has its cursor and wraps its lines. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

const script = spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout ?? '';
const noTerminal = script.includes('util-linux') ? '' : ' (skipped: no `script` of util-linux, which gives a terminal)';
const terminal = join(import.meta.dirname, '../../src/cli/terminal.ts');

test.skipIf(noTerminal !== '').each([
  ['where nobody listens to it', '', 1, 130],
  ['where it is the second one', 'interruption();', 2, 1],
])(`Ctrl-C %s${noTerminal}`, async (_, listen, times, code) => {
  const folder = mkdtempSync(join(tmpdir(), 'progress-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const program = join(folder, 'program.mjs');
  writeFileSync(
    program,
    `import { interruption, progress } from '${terminal}';
const bar = await progress('working', 9);
${listen}
setInterval(() => bar.set(1), 50);`,
  );
  const child = spawn('script', ['-qefc', `exec ${process.execPath} ${program}`, '/dev/null']);
  const ended = once(child, 'exit');
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  for (let left = times; left > 0; left--) {
    const before = said.length;
    await expect.poll(() => said.slice(before), { timeout: 20_000 }).toContain('1/9');
    child.stdin.write('\u0003');
  }
  expect((await ended)[0]).toBe(code);
  const after = said.slice(said.lastIndexOf('1/9'));
  expect(after).toContain('\u001b[?25h');
  expect(after).toContain('\u001b[?7h');
});
