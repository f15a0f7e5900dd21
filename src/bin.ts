#!/usr/bin/env node
/** What the installed package calls: nothing that an old Node lacks is loaded before its version was looked at. */
import { readFileSync } from 'node:fs';

const { engines } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  engines: { node: string };
};
const needed = engines.node.replace('>=', '');
const [own, least] = [process.versions.node, needed].map((version) => {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major * 1_000 + minor;
});
if (Number(own) >= Number(least)) await import('./cli.ts');
else {
  process.stderr.write(`Node ${needed} or newer is needed, this is ${process.versions.node}\n`);
  process.exitCode = 1;
}
