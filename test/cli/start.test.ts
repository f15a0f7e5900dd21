/** A signal that comes before the bridge has started: the first process of a container has no default that would end it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { bridgeHome } from '../support/bridge.process.ts';

/** Its module is loaded while the configuration is read. */
const SIGNALS = `
  import { isMainThread } from 'node:worker_threads';
  import { z } from 'group-sync-bridge/connector';
  if (isMainThread) process.kill(process.pid, 'SIGTERM');
  export default {
    kind: 'signals',
    summary: 'Writes to nowhere.',
    readsBack: false,
    options: z.strictObject({}),
    holds: () => 'events',
    places: () => [],
    open: async () => { throw new Error('not here'); },
    async *examine() {},
  };`;

test('SIGTERM during the start is heard: the bridge ends as soon as it has started', async () => {
  const home = bridgeHome(() => ({ own: { kind: './signals.mjs' } }));
  onTestFinished(home.remove);
  writeFileSync(join(home.folder, 'signals.mjs'), SIGNALS);
  const child = spawn(process.execPath, ['src/cli.ts', 'start', '--config', home.configFile]);
  onTestFinished(() => void child.kill('SIGKILL'));
  let said = '';
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  expect(await once(child, 'close')).toEqual([0, null]);
  expect(said).toMatch(/"msg":"started".*"reason":"SIGTERM","msg":"stopping".*"msg":"stopped"/s);
});
