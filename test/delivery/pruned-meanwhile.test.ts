/** What is pruned while a comparison brings it again comes no more, and holds up nothing. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
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

/** Keeps ids in a file; the second time that some are missing there, it says so once it may. */
const MODULE = idsModule(`
    async deliver(batch) {
      for (const { event } of batch) appendFileSync(file, event.id + '\\n');
      return new Map(batch.map(({ id }) => [id, { kind: 'delivered', receipt: id }]));
    },
    async find(ids) {
      const there = existsSync(file) ? readFileSync(file, 'utf8').split('\\n') : [];
      const found = new Map(ids.filter((id) => there.includes(id)).map((id) => [id, id]));
      if (found.size < ids.length) {
        appendFileSync(file + '.missed', '.');
        while (readFileSync(file + '.missed', 'utf8') === '..' && !existsSync(file + '.told')) {
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
      return found;
    },`);

test('what is pruned while a comparison is about to bring it again comes no more, and holds up nothing', async () => {
  const home = bridgeHome(
    (folder) => ({
      mine: { kind: './mine.mjs', file: join(folder, 'ids'), verify: { every: '1s' } },
      late: { kind: 'file', path: join(folder, 'late') },
    }),
    { journal: { keepDelivered: '1s' } },
  );
  const file = join(home.folder, 'ids');
  const missed = `${file}.missed`;
  writeFileSync(join(home.folder, 'mine.mjs'), MODULE);
  const journal = openJournal(openDatabase(join(home.folder, 'journal.db')), systemClock, createSignals());
  for (let n = 1; n <= 50; n++) await journal.record(madeEvent(n));
  await journal.setPaused('late', true);
  journal.close();

  const bridge = await startBridgeProcess(home);
  const lines = (): string[] => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []);
  await expect.poll(lines, { timeout: 10_000 }).toHaveLength(50);
  writeFileSync(
    file,
    `${lines()
      .filter((_, n) => n === 0 || n > 25)
      .join('\n')}\n`,
  );
  await expect.poll(() => existsSync(missed) && readFileSync(missed, 'utf8'), { timeout: 10_000 }).toBe('..');
  const init = { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } };
  await fetch(`${bridge.adminUrl}/api/connectors/late/resume`, init);
  const kept = async () => ((await (await fetch(`${bridge.adminUrl}/api/events`)).json()) as { events: [] }).events;
  await expect.poll(kept, { timeout: 20_000 }).toEqual([]);
  writeFileSync(`${file}.told`, '');
  // The next one comes after them.
  const callback = { search: search(), body: body({ GroupId: 'other', EventTime: Date.now() }) };
  expect(await bridge.post(callback)).toEqual(OK);
  await expect.poll(lines, { timeout: 10_000 }).toHaveLength(26);
  await inStep(bridge);
  expect(await bridge.end('SIGTERM')).toBe(0);
  home.remove();
});
