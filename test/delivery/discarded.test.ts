/** What a person discarded is not brought again by the comparison of a copy of events, which finds that it does not lie there. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openJournal } from '../../src/journal/append.ts';
import { openDatabase } from '../../src/journal/database.ts';
import { systemClock } from '../../src/model/clock.ts';
import { createSignals } from '../../src/model/signal.ts';
import { bridgeHome, inStep, startBridgeProcess } from '../support/bridge.process.ts';
import { body, OK, search } from '../support/callbacks.ts';
import { madeEvent } from '../support/events.ts';
import { idsModule } from '../support/ids.module.ts';

/** Keeps the ids of events in a file, tells how often it was compared, and refuses the event of a name. */
const MODULE = idsModule(`
    deliver: async (batch) => new Map(batch.map(({ id, event }) => {
      const isRefused = event.data.changed.name === 'refused';
      appendFileSync(file, (isRefused ? 'refused' : id) + '\\n');
      const fault = { code: 'event-refused', message: 'not this name' };
      return [id, isRefused ? { kind: 'dead', fault } : { kind: 'delivered', receipt: id }];
    })),
    find: async (ids) => {
      appendFileSync(file, 'compared\\n');
      const held = readFileSync(file, 'utf8').split('\\n');
      return new Map(ids.filter((id) => held.includes(id)).map((id) => [id, id]));
    },`);

test('a dead letter that was discarded stays away, and is called so', async () => {
  const home = bridgeHome(
    (folder) => ({ mine: { kind: './mine.mjs', file: join(folder, 'ids'), verify: { every: '1s' } } }),
    { journal: { keepDelivered: '36500d' } },
  );
  const file = join(home.folder, 'ids');
  const counted = (line: string): number =>
    (existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []).filter((one) => one === line).length;
  writeFileSync(join(home.folder, 'mine.mjs'), MODULE);
  // Received long ago: what was received just now is not compared yet.
  const journal = openJournal(openDatabase(join(home.folder, 'journal.db')), systemClock, createSignals());
  for (const [n, name] of ['one', 'refused', 'three'].entries()) await journal.record(madeEvent(n + 1, { name }));
  journal.close();

  const bridge = await startBridgeProcess(home);
  await expect.poll(() => counted('compared'), { timeout: 10_000 }).toBeGreaterThan(0);
  const discarded = await fetch(`${bridge.adminUrl}/api/connectors/mine/dead-letters/discard`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({}),
  });
  expect(await discarded.json()).toMatchObject({ discarded: 1 });
  const { copies } = (await (await fetch(`${bridge.adminUrl}/api/events/2`)).json()) as { copies: object[] };
  expect(copies).toMatchObject([{ connector: 'mine', standing: 'discarded' }]);
  const before = counted('compared');
  await expect.poll(() => counted('compared'), { timeout: 10_000 }).toBeGreaterThan(before + 2);
  expect(counted('refused')).toBe(1);
  expect(await bridge.end('SIGTERM')).toBe(0);
  home.remove();
});

test('a dead letter that was discarded stays away, too, where its destination is found to be at fault after that', async () => {
  const home = bridgeHome((folder) => ({
    mine: { kind: './mine.mjs', file: join(folder, 'ids'), retry: { initialMs: 100, maxMs: 200 } },
  }));
  const broken = join(home.folder, 'broken');
  writeFileSync(broken, '');
  const refusing = MODULE.replace("event.data.changed.name === 'refused'", `existsSync(${JSON.stringify(broken)})`);
  writeFileSync(join(home.folder, 'mine.mjs'), refusing);
  const bridge = await startBridgeProcess(home);
  const call = async (from: number, count: number) => {
    for (let n = from; n < from + count; n++) {
      const callback = { search: search(), body: body({ GroupId: `g${n}`, EventTime: 1_700_000_000_000 + n }) };
      expect(await bridge.post(callback)).toEqual(OK);
    }
  };
  const status = async () => {
    const { connectors } = (await (await fetch(`${bridge.adminUrl}/api/status`)).json()) as {
      connectors: { deadLetters: number; state: { kind: string } }[];
    };
    return connectors[0];
  };
  await call(0, 10);
  await expect.poll(status, { timeout: 10_000 }).toMatchObject({ deadLetters: 10 });
  const [url, headers] = [
    `${bridge.adminUrl}/api/connectors/mine/dead-letters/discard`,
    { 'content-type': 'application/json' },
  ];
  await fetch(url, { method: 'POST', headers, body: JSON.stringify({ seqs: [1, 2, 3] }) });
  await call(10, 15);
  await expect.poll(status, { timeout: 10_000 }).toMatchObject({ deadLetters: 0, state: { kind: 'waiting' } });
  rmSync(broken);
  await inStep(bridge);
  const held = readFileSync(join(home.folder, 'ids'), 'utf8').split('\n');
  expect(held.filter((line) => line !== '' && line !== 'refused' && line !== 'compared')).toHaveLength(22);
  expect(await bridge.end('SIGTERM')).toBe(0);
  home.remove();
});
