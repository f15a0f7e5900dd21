/** A lane that is busy carries out what was asked of it later; meanwhile a person may have changed their mind. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bridgeHome, inStep, startBridgeProcess } from '../support/bridge.process.ts';
import { body, OK, search } from '../support/callbacks.ts';

/** Writes down the names it is given; slow and refusing while files say so. */
const MODULE = `
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { z } from 'group-sync-bridge/connector';
export default {
  kind: 'ids', summary: 'Keeps ids.', options: z.strictObject({ file: z.string() }), readsBack: false, holds: () => 'events',
  places: ({ file }) => [{ name: file, option: 'file' }],
  open: async ({ file }) => ({
    holds: 'events',
    async deliver(batch) {
      for (const { event } of batch) appendFileSync(file, event.data.changed.name + '\\n');
      while (existsSync(file + '.slow')) await new Promise((r) => setTimeout(r, 20));
      return new Map(batch.map(({ id, event }) => {
      const fault = { code: 'event-refused', message: 'not this name' };
      return [id, event.data.changed.name === 'refused' && existsSync(file + '.refuses') ? { kind: 'dead', fault } : { kind: 'delivered', receipt: id }];
    })); },
    identify: async () => ({ identity: 'one' }),
    close: async () => {},
  }),
  async *examine() {},
};
`;
test('a dead letter that is discarded before its lane comes to its retry stays away, and nobody waits for it', async () => {
  const home = bridgeHome((folder) => ({ mine: { kind: './mine.mjs', file: join(folder, 'ids') } }));
  const file = join(home.folder, 'ids');
  writeFileSync(join(home.folder, 'mine.mjs'), MODULE);
  writeFileSync(`${file}.refuses`, '');
  const bridge = await startBridgeProcess(home);
  const call = async (GroupId: string, Name: string) =>
    expect(
      await bridge.post({ search: search(), body: body({ GroupId, Name, EventTime: 1_700_000_000_000 }) }),
    ).toEqual(OK);
  const status = async () =>
    ((await (await fetch(`${bridge.adminUrl}/api/status`)).json()) as { connectors: object[] }).connectors[0];
  await call('a', 'refused');
  await expect.poll(status).toMatchObject({ deadLetters: 1 });
  writeFileSync(`${file}.slow`, '');
  await call('b', 'slow');
  await expect.poll(() => readFileSync(file, 'utf8')).toContain('slow');
  const post = async (what: string) =>
    (
      await fetch(`${bridge.adminUrl}/api/connectors/mine/dead-letters/${what}`, {
        method: 'POST',
        body: '{}',
        headers: { 'content-type': 'application/json' },
      })
    ).json();
  expect([await post('retry'), await post('discard')]).toEqual([{ taken: 1 }, { discarded: 1 }]);
  rmSync(`${file}.slow`);
  await call('a', 'after');
  await expect.poll(() => readFileSync(file, 'utf8').split('\n')).toContain('after');
  await inStep(bridge);
  expect(readFileSync(file, 'utf8').split('\n')).toEqual(['refused', 'slow', 'after', '']);
  // Nobody waits for it any more.
  expect(await status()).toMatchObject({ deadLetters: 0, retried: { taken: 0, delivered: 0, refused: 0 } });
  expect(await bridge.end('SIGTERM')).toBe(0);
  home.remove();
});
