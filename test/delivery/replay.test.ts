/** A replay is told as done once its events were delivered again, whatever the lane is at when it is asked for. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { bridgeHome, runCommand, startBridgeProcess } from '../support/bridge.process.ts';
import { body, OK, search } from '../support/callbacks.ts';

/** Takes seconds to say which destination it is, and keeps how often it was given an event. */
const SLOW = `
import { appendFileSync } from 'node:fs';
import { z } from 'group-sync-bridge/connector';
export default {
  kind: 'slow', summary: 'Is slow to say which it is.', options: z.strictObject({ file: z.string() }), readsBack: false,
  holds: () => 'events', places: () => [],
  open: async ({ file }) => ({
    holds: 'events',
    async deliver(batch) {
      appendFileSync(file, 'x'.repeat(batch.length));
      return new Map(batch.map(({ id }) => [id, { kind: 'delivered', receipt: 'there' }]));
    },
    async identify() {
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      return { identity: 'one' };
    },
    close: async () => {},
  }),
  async *examine() {},
};`;

test('a replay is not taken for done where the lane has not begun with it', async () => {
  const home = bridgeHome((folder) => ({
    slow: { kind: './slow.mjs', file: join(folder, 'given'), verify: { every: '1s' } },
  }));
  onTestFinished(home.remove);
  writeFileSync(join(home.folder, 'slow.mjs'), SLOW);
  const bridge = await startBridgeProcess(home);
  onTestFinished(async () => void (await bridge.end('SIGTERM')));
  for (const Name of ['a', 'b']) expect(await bridge.post({ search: search(), body: body({ Name }) })).toEqual(OK);
  const given = () => readFileSync(join(home.folder, 'given'), 'utf8').length;
  await expect.poll(given, { timeout: 10_000 }).toBe(2);
  for (const times of [2, 3, 4, 5, 6, 7]) {
    const replay = await runCommand(['replay', 'slow', '--from', 'beginning', '--admin', bridge.adminUrl]);
    expect(replay).toMatchObject({ code: 0, stdout: 'slow delivered 2 events again, from seq 1\n' });
    expect(given()).toBe(2 * times);
  }
}, 60_000);
