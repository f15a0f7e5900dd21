/** What the commands say of a worker, which has no journal and is one of several. */
import { expect, test } from 'vitest';
import { runCommand } from '../support/bridge.process.ts';
import { startSilencedWorker } from '../support/worker.process.ts';

test('a pause is said to last as long as it does; what a worker does not offer is refused with what it has', async () => {
  const { worker } = await startSilencedWorker(2_000);
  const run = (...args: string[]) => runCommand([...args, '--admin', worker.adminUrl]);
  expect(await run('pause', 'audit')).toMatchObject({
    code: 0,
    stdout: 'audit is paused in this worker, until it is resumed or the worker stops; its events wait in the topic\n',
  });
  expect(await run('resume', 'audit')).toMatchObject({ code: 0, stdout: 'audit is resumed\n' });
  expect(await run('replay', 'audit', '--from', 'beginning')).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/a worker does not offer this — .*status, pause, resume and dead-letters/),
  });
  await worker.end('SIGTERM');
}, 60_000);
