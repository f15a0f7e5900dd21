/** Dead letters that no one answer holds, since there are many or they are large: lists and exports have all of them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { WorkerDeadLetter } from '../../connectors/contract.ts';
import { causesOf } from '../../src/cli/dead-letter-stores.ts';
import { bridgeHome, runCommand, startBridgeProcess } from '../support/bridge.process.ts';
import { body, OK, search } from '../support/callbacks.ts';

test('large ones are listed up to the limit and exported to the last, by the console, too', async () => {
  const home = bridgeHome((folder) => ({
    audit: { kind: 'file', path: join(folder, 'events.ndjson'), shape: { transform: './shape.mjs' } },
  }));
  onTestFinished(home.remove);
  const shape = `export default (event) => { if (event.data.groupId.startsWith('bad')) throw new Error('not wanted'); return event; };`;
  writeFileSync(join(home.folder, 'shape.mjs'), shape);
  const bridge = await startBridgeProcess(home);
  const [all, Introduction] = [30, 'x'.repeat(50_000)];
  for (let n = 0; n < all; n++) {
    // One that is taken stands between them: it is not the destination that refuses.
    for (const GroupId of [`good${n}`, `bad${n}`]) {
      expect(await bridge.post({ search: search(), body: body({ GroupId, Introduction }) })).toEqual(OK);
    }
  }
  const run = (...args: string[]) => runCommand(['dead-letters', ...args, '--admin', bridge.adminUrl]);
  const causes = async () => JSON.parse((await run('list', 'audit', '--by', 'cause', '--json')).stdout);
  await expect.poll(causes, { timeout: 20_000 }).toMatchObject([{ count: all }]);
  const listed = async (limit: string) =>
    JSON.parse((await run('list', 'audit', '--limit', limit, '--json')).stdout).deadLetters;
  expect(await listed('25')).toHaveLength(25);
  expect(await listed('5000')).toHaveLength(all);
  // What would be left out in silence is refused.
  expect((await run('list', 'audit', '--by', 'cause', '--group', 'bad1')).code).toBe(2);
  expect(await run('export', 'audit', '--cause', '')).toMatchObject({ code: 0, stdout: '' });

  const page = await (await fetch(`${bridge.adminUrl}/dead-letters?connector=audit`)).text();
  const [, address = ''] = /href="([^"]+)" download/.exec(page) ?? [];
  const exported = await (await fetch(bridge.adminUrl + address.replaceAll('&amp;', '&'))).text();
  expect(exported).toBe((await run('export', 'audit')).stdout);
  expect(exported.trim().split('\n')).toHaveLength(all);
  const unknown = await fetch(`${bridge.adminUrl}/dead-letters/export?connector=nobody`);
  expect(unknown.status).toBe(404);
  expect(await bridge.end('SIGTERM')).toBe(0);
}, 60_000);

test('those of a worker are grouped by cause, however many they are', () => {
  const fault = { code: 'event-refused', message: 'not wanted' } as const;
  const place = { topic: 'events', partition: 0, attempts: 1, headers: {}, key: null, value: null };
  const letters = Array.from(
    { length: 200_000 },
    (_, offset): WorkerDeadLetter => ({
      ...place,
      name: `0@${offset}`,
      offset: String(offset),
      fault,
      deadAt: 9e5 - offset,
    }),
  );
  expect(causesOf(letters)).toMatchObject([{ count: 200_000, firstAt: 700_001, lastAt: 900_000 }]);
});
