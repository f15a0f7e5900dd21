import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openJournal } from '../../src/journal/append.ts';
import { openDatabase } from '../../src/journal/database.ts';
import { createGroupReader, createGroupStore, openGroupBuffer } from '../../src/journal/groups.ts';
import { createHistoryReader } from '../../src/journal/history.ts';
import { createDeliveryReader } from '../../src/journal/reads.ts';
import { prunePass } from '../../src/journal/retention.ts';
import { systemClock } from '../../src/model/clock.ts';
import { type Group, merge, newGroup } from '../../src/model/group.ts';
import { createSignals } from '../../src/model/signal.ts';
import { madeEvent } from '../support/events.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'groups-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function open() {
  const database = openDatabase(join(folder, 'journal.db'));
  const journal = openJournal(database, systemClock, createSignals());
  return { database, journal, groups: createGroupReader(database.connection, journal.buffered) };
}

/** `n` events over three groups, one of them with a large value. */
const events = Array.from({ length: 60 }, (_, n) =>
  madeEvent(
    n,
    n % 7 === 0 ? { introduction: 'x'.repeat(6_000) } : { name: `name ${n}`, customFields: { [`k${n % 2}`]: `${n}` } },
    `g${n % 3}`,
  ),
);
const wanted = (groupId: string, some = events): Group =>
  some.filter(({ subject }) => subject === groupId).reduce(merge, newGroup(groupId));

describe('the journal keeps the merged state of each group', () => {
  test('as soon as an event is recorded, one by one or many at once, over restarts', async () => {
    const first = open();
    for (const [n, event] of events.slice(0, 20).entries()) {
      await first.journal.record(event);
      expect(first.groups.get(event.subject)).toEqual(wanted(event.subject, events.slice(0, n + 1)));
    }
    await Promise.all(events.slice(20, 40).map(first.journal.record));
    expect(first.groups.get('g1')).toEqual(wanted('g1', events.slice(0, 40)));
    first.journal.close();
    const { journal, groups } = open();
    await Promise.all(events.slice(40).map(journal.record));
    for (const groupId of ['g0', 'g1', 'g2']) expect(groups.get(groupId)).toEqual(wanted(groupId));
    expect(groups.count()).toBe(3);
    expect(groups.page('', 2).map(({ groupId }) => groupId)).toEqual(['g0', 'g1']);
    expect(groups.page('g1', 2).map(({ groupId }) => groupId)).toEqual(['g2']);
    journal.close();
  });

  test('a duplicate changes nothing; what was not committed is not merged', async () => {
    const { database, journal, groups } = open();
    await Promise.all(events.slice(0, 30).map(journal.record));
    await Promise.all(events.slice(0, 30).map(journal.record));
    const before = wanted('g0', events.slice(0, 30));
    expect(groups.get('g0')).toEqual(before);

    const { page_count: pages } = database.connection.prepare('PRAGMA page_count').get() as { page_count: number };
    database.connection.exec(`PRAGMA max_page_count = ${pages}`);
    const refused = madeEvent(100, { name: 'refused', notification: 'y'.repeat(60_000) }, 'g0');
    await expect(journal.record(refused)).rejects.toThrow();
    database.connection.exec('PRAGMA max_page_count = 1000000');
    expect(groups.get('g0')).toEqual(before);
    const next = madeEvent(101, { faceUrl: 'after' }, 'g0');
    await journal.record(next);
    expect(groups.get('g0')).toEqual(merge(before, next));
    journal.close();
  });

  test('a transaction that failed after it had merged leaves nothing behind', () => {
    const { database, journal, groups } = open();
    const buffer = openGroupBuffer(database);
    const [lost, kept] = [madeEvent(1, { name: 'lost' }, 'g'), madeEvent(2, { faceUrl: 'kept' }, 'g')];
    const failing = () =>
      buffer.transact(() => {
        buffer.merge(lost, 1);
        throw new Error('refused by the test');
      });
    expect(failing).toThrow('refused by the test');
    expect(buffer.buffered('g')).toBeUndefined();
    expect(buffer.dueInMs()).toBeUndefined();
    buffer.transact(() => buffer.merge(kept, 1));
    buffer.flush();
    expect(groups.get('g')).toEqual(wanted('g', [kept]));
    expect(buffer.watermark()).toBe(1);
    journal.close();
  });

  test('a wrong order of calls is loud', () => {
    const { database, journal } = open();
    const buffer = openGroupBuffer(database);
    expect(() => buffer.latest('g')).toThrow(/transaction/);
    expect(() => buffer.merge(madeEvent(1), 1)).toThrow(/transaction/);
    expect(() => buffer.transact(() => buffer.transact(() => {}))).toThrow(/open already/);
    expect(() => buffer.transact(() => buffer.flush())).toThrow(/open transaction/);
    // None of it has spoilt the buffer.
    buffer.transact(() => buffer.merge(madeEvent(1, { name: 'n' }, 'g'), 1));
    expect(buffer.buffered('g')).toMatchObject({
      state: wanted('g', [madeEvent(1, { name: 'n' }, 'g')]),
      latest: 1,
      changed: true,
      characters: 0,
    });
    journal.close();
  });

  test('a store without a journal: states are joined, events merged, all of a call or nothing', () => {
    const { database, journal } = open();
    const store = createGroupStore(database);
    store.merge(events.slice(0, 30));
    for (const groupId of ['g0', 'g1', 'g2']) expect(store.get(groupId)).toEqual(wanted(groupId, events.slice(0, 30)));
    const later = wanted('g0', events.slice(20));
    store.join([
      { groupId: 'g0', group: later },
      { groupId: 'g1', group: null },
    ]);
    expect(store.get('g0')).toEqual(wanted('g0'));
    expect(store.get('g1')).toEqual({ ...wanted('g1', events.slice(0, 30)), destroyed: true });
    const failing = function* () {
      yield madeEvent(100, { name: 'lost' }, 'g2');
      throw new Error('refused by the test');
    };
    expect(() => store.merge(failing())).toThrow('refused by the test');
    expect(store.get('g2')).toEqual(wanted('g2', events.slice(0, 30)));
    journal.close();
  });

  /** Groups cannot be written as long as this stands. */
  const REFUSE = `CREATE TEMP TRIGGER refuse BEFORE UPDATE ON merged BEGIN SELECT RAISE(ABORT, 'refused by the test'); END`;

  test('behind the events: what is not written yet is known, is not pruned, and is written when it can be', async () => {
    const { database, journal, groups } = open();
    const { connection } = database;
    const onDisk = createGroupReader(connection);
    const reader = createDeliveryReader(connection);
    await Promise.all(events.slice(0, 20).map(journal.record));
    journal.flushGroups();
    expect(reader.merged()).toBe(20);

    connection.exec(REFUSE);
    await Promise.all(events.slice(20, 40).map(journal.record));
    journal.flushGroups();
    expect(onDisk.get('g0')).toEqual(wanted('g0', events.slice(0, 20)));
    expect(groups.get('g0')).toEqual(wanted('g0', events.slice(0, 40)));
    const newest = (groupId: string) => createHistoryReader(connection, journal).ofGroup(groupId, 1)[0]?.event;
    expect(newest('g0')).toEqual(events.slice(0, 40).findLast(({ subject }) => subject === 'g0'));
    expect(reader.merged()).toBe(20);
    journal.settle({ connector: 'c', upTo: 40, waiting: [], dead: [], released: [] });
    await expect.poll(() => reader.cursor('c')).toBe(40);
    const settings = () => ({ keepDelivered: 0, connectors: ['c'] });
    expect(await prunePass(settings, { journal, reader, clock: systemClock }, new AbortController().signal)).toBe(20);

    connection.exec('DROP TRIGGER refuse');
    await expect.poll(reader.merged, { timeout: 30_000 }).toBe(40);
    for (const groupId of ['g0', 'g1', 'g2']) {
      expect(onDisk.get(groupId)).toEqual(wanted(groupId, events.slice(0, 40)));
      expect(journal.buffered(groupId)).toBeUndefined();
    }
    journal.close();
  });

  test('large ones are written as they come: none stays in memory for long', async () => {
    const { database, journal } = open();
    const large = { introduction: 'x'.repeat(30_000) };
    const { merged } = createDeliveryReader(database.connection);
    const heads: { readonly at: number; readonly head: number }[] = [];
    for (let n = 0; n < 2_500; n += 20) {
      await Promise.all(Array.from({ length: 20 }, (_, k) => journal.record(madeEvent(n + k, large, `g${n + k}`))));
      heads.push({ at: performance.now(), head: journal.head() });
      // In a flood of them, too.
      const old = heads.findLast(({ at }) => at < performance.now() - 1_500)?.head ?? 0;
      expect(merged()).toBeGreaterThanOrEqual(old);
      await delay(20);
    }
    await expect.poll(merged, { timeout: 1_500 }).toBe(2_500);
    // A page of them is short, so that it needs no more memory than one of small ones.
    expect(createGroupReader(database.connection).page('', 500).length).toBeLessThan(200);
    journal.close();
  });

  test('after a write that has no room comes a small one, however much has come since', () => {
    const { database, journal } = open();
    let isFull = false;
    const buffer = openGroupBuffer({
      ...database,
      transact: (work) =>
        database.transact(() => {
          const result = work();
          if (isFull) throw new Error('no room');
          return result;
        }),
    });
    let seq = 0;
    const merge = (): void => {
      const event = madeEvent(++seq, { introduction: 'x'.repeat(60_000) }, `g${seq}`);
      buffer.transact(() => buffer.merge(event, seq));
    };
    const written = (): number => {
      const before = buffer.watermark();
      buffer.step();
      return buffer.watermark() - before;
    };
    for (let n = 0; n < 20; n++) merge();
    expect(written()).toBeLessThan(10);
    for (let n = 0; n < 50; n++) merge();
    isFull = true;
    expect(() => buffer.step()).toThrow('no room');
    isFull = false;
    expect(written()).toBeLessThan(10);
    journal.close();
  });

  test('what a crash left unwritten is merged again at the next start, and linked', async () => {
    const first = open();
    await Promise.all(events.slice(0, 20).map(first.journal.record));
    first.journal.flushGroups();
    first.database.connection.exec(REFUSE);
    await Promise.all(events.slice(20, 50).map(first.journal.record));
    first.journal.close();

    const second = open();
    const onDisk = createGroupReader(second.database.connection);
    for (const groupId of ['g0', 'g1', 'g2']) expect(onDisk.get(groupId)).toEqual(wanted(groupId, events.slice(0, 50)));
    await Promise.all(events.slice(50).map(second.journal.record));
    const history = createHistoryReader(second.database.connection, second.journal);
    expect(history.ofGroup('g1', 100).map(({ event }) => event)).toEqual(
      events.filter(({ subject }) => subject === 'g1').reverse(),
    );
    second.journal.close();
  });

  test('a start on a full disk knows them all the same', async () => {
    const first = open();
    const large = Array.from({ length: 10 }, (_, n) => madeEvent(n, { introduction: 'x'.repeat(9_000) }, `large ${n}`));
    first.database.connection.exec(REFUSE);
    await Promise.all(large.map(first.journal.record));
    first.journal.close();

    const second = openDatabase(join(folder, 'journal.db'), { maxBytes: 4_096 });
    const journal = openJournal(second, systemClock, createSignals());
    const groups = createGroupReader(second.connection, journal.buffered);
    expect(createGroupReader(second.connection).get('large 9')).toBeUndefined();
    for (const event of large) expect(groups.get(event.subject)).toEqual(wanted(event.subject, large));
    journal.close();
  });
});
