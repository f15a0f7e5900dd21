import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Brought } from '../../connectors/contract.ts';
import { openJournal } from '../../src/journal/append.ts';
import { openDatabase } from '../../src/journal/database.ts';
import { createDeliveryWriter, createJournalSource } from '../../src/journal/deliveries.ts';
import { createHistoryReader } from '../../src/journal/history.ts';
import { createDeliveryReader } from '../../src/journal/reads.ts';
import { causeOf } from '../../src/model/cause.ts';
import { systemClock } from '../../src/model/clock.ts';
import { entryOf } from '../../src/model/entry.ts';
import type { CanonicalEvent } from '../../src/model/event.ts';
import { createSignals } from '../../src/model/signal.ts';
import { madeEvent } from '../support/events.ts';

/*
 * The oracle of a chain is the list of events that were recorded, filtered by group and turned round.
 */

let folder: string;
let file: string;
const opened: { close(): void }[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'history-'));
  file = join(folder, 'journal.db');
});
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
  rmSync(folder, { recursive: true });
});

function open() {
  const database = openDatabase(file);
  const journal = openJournal(database, systemClock, createSignals());
  let closed = false;
  const close = () => {
    if (!closed) journal.close();
    closed = true;
  };
  opened.push({ close });
  return { database, journal, history: createHistoryReader(database.connection, journal), close };
}

/** `n` events over three groups; every fifth of them has a state too large to be remembered. */
const events = Array.from({ length: 45 }, (_, n) =>
  madeEvent(n, { name: `name ${n}`, ...(n % 5 === 0 && { introduction: 'x'.repeat(6_000) }) }, `g${n % 3}`),
);
const ids = (entries: readonly { event: CanonicalEvent }[]) => entries.map(({ event }) => event.id);
const wanted = (groupId: string, some: readonly CanonicalEvent[] = events) =>
  some
    .filter(({ subject }) => subject === groupId)
    .map(({ id }) => id)
    .reverse();
const never = new AbortController().signal;

describe('the events of a group are linked', () => {
  test('one by one and many at once, over restarts, whatever the journal remembers of a group', async () => {
    for (const some of [events.slice(0, 10), events.slice(10, 30), events.slice(30)]) {
      const { journal, close } = open();
      if (some.length === 10) for (const event of some) await journal.record(event);
      else await Promise.all(some.map(journal.record));
      close();
    }
    const { history, journal } = open();
    for (const groupId of ['g0', 'g1', 'g2']) {
      expect(ids(history.ofGroup(groupId, 100))).toEqual(wanted(groupId));
      expect(history.latest(groupId)).toBe(journal.head() - 2 + Number(groupId.slice(1)));
    }
    expect(history.ofGroup('unknown', 100)).toEqual([]);
    expect(history.latest('unknown')).toBeUndefined();
  });

  test('also where an event changes nothing in the merged state, and where reconcile records several at once', async () => {
    const { journal, history, database } = open();
    const late = madeEvent(0, { name: 'late' }, 'g');
    const some = [madeEvent(9, { name: 'new' }, 'g'), { ...late, id: 'a' }, { ...late, id: 'b' }];
    for (const event of some) await journal.record(event);
    journal.flushGroups();
    const states = database.connection.prepare('SELECT state FROM groups');
    expect(JSON.parse(String(states.get()?.state)).name).toBe('new');
    await journal.recordRead([{ ...late, id: 'c' }, madeEvent(10, {}, 'h'), { ...late, id: 'd' }], ['g', 'h']);
    expect(ids(history.ofGroup('g', 10))).toEqual(['d', 'c', 'b', 'a', some[0]?.id]);
    expect(history.ofGroup('g', 10).map(({ seq }) => seq)).toEqual([6, 4, 3, 2, 1]);
  });

  test('duplicates do not touch the chain', async () => {
    const { journal, history } = open();
    await Promise.all(events.slice(0, 20).map(journal.record));
    await Promise.all(
      [events[3], events[20], events[0], events[23], events[3]].map((event) => journal.record(event as CanonicalEvent)),
    );
    const all = [...events.slice(0, 21), events[23] as CanonicalEvent];
    for (const groupId of ['g0', 'g1', 'g2']) expect(ids(history.ofGroup(groupId, 100))).toEqual(wanted(groupId, all));
  });

  test('what was not committed leaves no link', async () => {
    const { database, journal, history } = open();
    await Promise.all(events.slice(0, 20).map(journal.record));
    const { page_count: pages } = database.connection.prepare('PRAGMA page_count').get() as { page_count: number };
    database.connection.exec(`PRAGMA max_page_count = ${pages}`);
    const [refused, small] = [madeEvent(100, { notification: 'y'.repeat(60_000) }, 'g0'), madeEvent(101, {}, 'g0')];
    const results = await Promise.allSettled([small, refused, small].map(journal.record));
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    database.connection.exec('PRAGMA max_page_count = 1000000');
    expect(ids(history.ofGroup('g0', 100))).toEqual(wanted('g0', events.slice(0, 20)));
    await journal.record(events[21] as CanonicalEvent);
    const all = [...events.slice(0, 20), events[21] as CanonicalEvent];
    expect(ids(history.ofGroup('g0', 100))).toEqual(wanted('g0', all));
    expect(history.ofGroup('g0', 1)).toMatchObject([{ seq: 21 }]);
  });

  test('more groups than are remembered', async () => {
    const { journal, history } = open();
    const many = (round: number) =>
      Array.from({ length: 6_000 }, (_, n) => madeEvent(round * 6_000 + n, { name: `${n}` }, `group ${n}`));
    const [first, second] = [many(0), many(1)];
    await Promise.all(first.map(journal.record));
    await Promise.all(second.map(journal.record));
    for (const n of [0, 1, 999, 1_000, 5_999]) {
      expect(ids(history.ofGroup(`group ${n}`, 10))).toEqual([second[n]?.id, first[n]?.id]);
    }
  });

  test('the chain ends where older events were pruned, and goes on with the next one', async () => {
    const { journal, history } = open();
    await Promise.all(events.slice(0, 30).map(journal.record));
    await journal.prune(0, () => 20, 100);
    expect(ids(history.ofGroup('g1', 100))).toEqual(wanted('g1', events.slice(20, 30)));
    await journal.prune(0, () => 30, 100);
    expect(history.ofGroup('g1', 100)).toEqual([]);
    expect(history.latest('g1')).toBe(29);
    await journal.record(events[31] as CanonicalEvent);
    expect(ids(history.ofGroup('g1', 100))).toEqual([events[31]?.id]);
  });

  test('a journal from before there were links: what comes is linked from then on, and nothing is rewritten', async () => {
    const { journal, close, database } = open();
    await Promise.all(events.slice(0, 20).map(journal.record));
    journal.flushGroups();
    const refused = (name: string, n: number) =>
      ({ code: 'event-refused', message: `[${name}] cannot hold '${n}'` }) as const;
    const dead = [1, 2, 3].map((seq) => ({ seq, attempts: 1, fault: refused(seq < 3 ? 'name' : 'introduction', seq) }));
    createDeliveryWriter(database.connection, systemClock).settle({
      connector: 'a',
      upTo: 3,
      waiting: [],
      released: [],
      dead,
    });
    // What the migrations added, taken away again.
    database.connection.exec(
      'ALTER TABLE events DROP COLUMN previous; ALTER TABLE groups DROP COLUMN last_seq; DROP TABLE merged; DROP TABLE copies; DROP TABLE receipts; ' +
        'DROP INDEX deliveries_waiting; DROP INDEX deliveries_by_cause; ALTER TABLE deliveries DROP COLUMN cause; ALTER TABLE deliveries DROP COLUMN earlier; ALTER TABLE lanes DROP COLUMN missed; DROP TABLE discarded; ' +
        'PRAGMA user_version = 2',
    );
    close();
    const old = new DatabaseSync(file);
    const version = (connection: DatabaseSync) => connection.prepare('PRAGMA user_version').get();
    expect(old.prepare('SELECT count(*) AS n FROM pragma_table_info(?)').get('events')).toEqual({ n: 5 });
    expect(version(old)).toEqual({ user_version: 2 });
    old.close();

    const upgraded = open();
    expect(version(upgraded.database.connection)).toEqual({ user_version: 11 });
    const causes = createDeliveryReader(upgraded.database.connection).deadLetterCauses('a');
    const id = (name: string) => causeOf(refused(name, 0)).id;
    expect(causes.map(({ cause, count }) => [cause, count])).toEqual([
      [id('name'), 2],
      [id('introduction'), 1],
    ]);
    expect(upgraded.history.ofGroup('g0', 100)).toEqual([]);
    expect(upgraded.history.latest('g0')).toBeUndefined();
    expect(ids(upgraded.history.recent(100))).toEqual(ids(events.slice(0, 20).map((event) => ({ event }))).reverse());
    await Promise.all(events.map(upgraded.journal.record));
    expect(ids(upgraded.history.ofGroup('g0', 100))).toEqual(wanted('g0', events.slice(20)));
  });

  test('a journal that was made while migrations were not whole yet is made whole', async () => {
    const { journal, close, database } = open();
    await journal.record(madeEvent(0));
    const fault = { code: 'event-refused', message: 'no' } as const;
    const dead = [{ seq: 1, attempts: 1, fault }];
    const settled = { connector: 'a', upTo: 1, waiting: [], released: [], dead };
    createDeliveryWriter(database.connection, systemClock).settle(settled);
    const orphan = "INSERT INTO deliveries VALUES ('a', 7, 'waiting', 0, 1, '{}', 1, NULL, 0)";
    database.connection.exec(
      `UPDATE deliveries SET cause = NULL; DROP TABLE discarded; ${orphan}; PRAGMA user_version = 10`,
    );
    close();

    const upgraded = open();
    const reader = createDeliveryReader(upgraded.database.connection);
    expect(reader.deadLetterCauses('a').map(({ cause }) => cause)).toEqual([causeOf(fault).id]);
    expect(await upgraded.journal.discard('a', [1])).toBe(1);
    expect(reader.isDiscarded('a', 1)).toBe(true);
    // Its event was pruned, so it could never be delivered, and would count as lag for ever.
    expect(reader.countWaiting('a')).toBe(0);
  });
});

describe('pages', () => {
  test('the newest first, then those before', async () => {
    const { journal, history } = open();
    for (const event of events) await journal.record(event);
    const all = ids(events.map((event) => ({ event }))).reverse();
    expect(ids(history.recent(10))).toEqual(all.slice(0, 10));
    expect(ids(history.recent(10, 36))).toEqual(all.slice(10, 20));
    expect(history.recent(10, 1)).toEqual([]);
    const page = history.ofGroup('g2', 4);
    expect(ids(page)).toEqual(wanted('g2').slice(0, 4));
    const before = page.at(-1)?.seq;
    expect(ids(history.ofGroup('g2', 4, before))).toEqual(wanted('g2').slice(4, 8));
    expect(ids(history.ofGroup('g2', 4, (before ?? 0) - 1))).toEqual(wanted('g2').slice(4, 8));
    expect(ids(history.ofGroup('g2', 100, 1_000))).toEqual(wanted('g2'));
    expect(history.ofGroup('g2', 4, 1)).toEqual([]);
  });

  test('large events come in smaller pages, and all of them', async () => {
    const { journal, history } = open();
    const large = Array.from({ length: 90 }, (_, n) => madeEvent(n, { introduction: 'x'.repeat(60_000) }, 'g'));
    await Promise.all(large.map(journal.record));
    for (const read of [history.recent, (...page: [number, number?]) => history.ofGroup('g', ...page)]) {
      const all = read(1_000);
      expect(all.length).toBeLessThan(20);
      for (let page = all; page.length > 0; all.push(...page)) page = read(1_000, all.at(-1)?.seq);
      expect(ids(all)).toEqual(wanted('g', large));
    }
  });

  test('a link that leads forward ends the chain', async () => {
    const { journal, history, database } = open();
    for (const event of events.slice(0, 9)) await journal.record(event);
    database.connection.exec('UPDATE events SET previous = 7 WHERE seq = 4');
    expect(history.ofGroup('g0', 100).map(({ seq }) => seq)).toEqual([7, 4]);
    expect(history.ofGroup('g0', 100, 5).map(({ seq }) => seq)).toEqual([4]);
  });
});

describe('search', () => {
  const HOSTILE = [
    '@TGS#2J4SZEAEL',
    '@TGS#_@TGS#cX',
    'a b/c#d%e?f&g\'h"i<j',
    "'; DROP TABLE groups; --",
    '%',
    '_',
    '100%_sure',
    '\\',
    '[a-z]*',
    '<script>alert(1)</script>',
  ];
  const NAMES = ['Ärzte & Söhne', '开发者群', "O'Brien", '50% off_', 'NUL\0inside', '𝔘nicode 😀', '', '"quoted"'];

  async function filled() {
    const made = open();
    await Promise.all([
      ...HOSTILE.map((groupId, n) => made.journal.record(madeEvent(n, { name: `plain ${n}` }, groupId))),
      ...NAMES.map((name, n) => made.journal.record(madeEvent(100 + n, { name }, `named-${n}`))),
      made.journal.record(madeEvent(200, { faceUrl: 'without a name' }, 'nameless')),
    ]);
    const find = async (text: string, limit = 50) =>
      (await made.history.search(text, limit, never)).groups.map(({ groupId }) => groupId);
    return { ...made, find };
  }

  test('any id is found by itself, its beginning and its end; % and _ stand for themselves', async () => {
    const { find } = await filled();
    for (const groupId of HOSTILE) {
      expect((await find(groupId))[0]).toBe(groupId);
      expect(await find(groupId.slice(0, 3))).toContain(groupId);
      expect(await find(groupId.slice(-4))).toContain(groupId);
    }
    expect(await find('%')).toEqual(['%', '100%_sure', 'a b/c#d%e?f&g\'h"i<j', 'named-3']);
    expect(await find('\\')).toEqual(['\\']);
    expect(await find('nothing has this')).toEqual([]);
    expect(await find('\u{10FFFF}')).toEqual([]);
  });

  test('any name is found by a part of it, in whatever case and script', async () => {
    const { find } = await filled();
    expect(await find('ÄRZTE')).toEqual(['named-0']);
    expect(await find('söhne')).toEqual(['named-0']);
    expect(await find('发者')).toEqual(['named-1']);
    expect(await find("o'b")).toEqual(['named-2']);
    expect(await find('0% OFF_')).toEqual(['named-3']);
    expect(await find('\0in')).toEqual(['named-4']);
    expect(await find('😀')).toEqual(['named-5']);
    expect(await find('"QUOTED"')).toEqual(['named-7']);
  });

  test('first the ids that start with it, then those that contain it, and whole states come back', async () => {
    const { journal, history } = open();
    const groups = ['zab', 'ab-2', 'AB-3', 'ab-1', 'other'];
    for (const [n, groupId] of groups.entries()) {
      await journal.record(madeEvent(n, { name: groupId === 'other' ? 'cabin' : '' }, groupId));
    }
    journal.flushGroups();
    const { groups: found, complete } = await history.search('ab', 10, never);
    expect(found.map(({ groupId }) => groupId)).toEqual(['ab-1', 'ab-2', 'AB-3', 'other', 'zab']);
    expect(found[3]).toMatchObject({ name: 'cabin', groupType: 'Public', destroyed: false });
    expect(complete).toBe(true);
  });

  test('says when it was cut short: by its limit, the most it scans, or its signal', async () => {
    const { history, find, database } = await filled();
    expect(await find('', 3)).toHaveLength(3);
    expect((await history.search('named', 8, never)).complete).toBe(true);
    expect((await history.search('named', 7, never)).complete).toBe(false);
    expect((await history.search('', 19, never)).complete).toBe(true);
    expect((await history.search('', 18, never)).complete).toBe(false);
    expect(await history.search('named', 50, AbortSignal.abort())).toMatchObject({ groups: [], complete: false });
    const short = createHistoryReader(database.connection, { scanGroups: 5 });
    expect(await short.search('nothing has this', 50, never)).toMatchObject({ groups: [], complete: false });
  });

  test('many groups: callbacks pass between, and the end of the journal ends it', async () => {
    const { journal, history, close } = open();
    const many = Array.from({ length: 20_000 }, (_, n) => madeEvent(n, { name: `name ${n}` }, `group ${n}`));
    await Promise.all(many.map(journal.record));
    journal.flushGroups();
    let turns = 0;
    const count = () => {
      turns++;
      turning = setImmediate(count);
    };
    let turning = setImmediate(count);
    const found = await history.search('NAME 19999', 10, never);
    expect(found.groups.map(({ groupId }) => groupId)).toEqual(['group 19999']);
    expect(found.complete).toBe(true);
    expect(turns).toBeGreaterThan(3);
    const ended = history.search('nothing has this', 10, never);
    close();
    expect(await ended).toMatchObject({ groups: [], complete: false });
    clearImmediate(turning);
  });
});

test('where an event went: of its batch, of its retry, of a replay; forgotten with the event', async () => {
  const { journal, database } = open();
  await Promise.all(events.slice(0, 10).map(journal.record));
  journal.flushGroups();
  const reader = createDeliveryReader(database.connection);
  const writer = createDeliveryWriter(database.connection, systemClock);
  const source = createJournalSource('c', 'events', { reader, clock: systemClock, post: writer.settle });
  const [nothing, entries] = [{ waiting: [], dead: [], released: [] }, reader.read(0, 100)];
  const brought = (seqs: readonly number[], more: Partial<Brought> = {}) =>
    entries
      .filter(({ seq }) => seqs.includes(seq))
      .map((entry): Brought => ({ entry, kind: 'delivered', receipt: `t/0@${entry.seq}`, attempts: 1, ...more }));
  source.settle({ ...nothing, upTo: 4, brought: brought([1, 2, 3]) });
  source.settle({ ...nothing, upTo: 9, brought: brought([6, 7, 8, 9]) });
  source.settle({ ...nothing, upTo: 9, brought: [...brought([4], { attempts: 3 }), ...brought([5], { attempts: 2 })] });
  const told = () =>
    entries.map(({ seq }) => {
      const { receipt, kind, attempts } = reader.receipt('c', seq) ?? {};
      return receipt && `${receipt} ${kind} ${attempts}`;
    });
  const first = ['t/0@1', 't/0@2', 't/0@3'].map((receipt) => `${receipt} delivered 1`);
  const last = ['t/0@6', 't/0@7', 't/0@8', 't/0@9'].map((receipt) => `${receipt} delivered 1`);
  expect(told()).toEqual([...first, 't/0@4 delivered 3', 't/0@5 delivered 2', ...last, undefined]);
  expect(reader.receipt('another', 1)).toBeUndefined();
  source.settle({ ...nothing, upTo: 3, rewind: true });
  expect(told()).toEqual([...first, ...Array(7)]);
  source.settle({ ...nothing, upTo: 10, brought: brought([4, 5, 6, 7, 8, 9, 10], { kind: 'superseded' }) });
  expect(told().slice(3)).toEqual(entries.slice(3).map(({ seq }) => `t/0@${seq} superseded 1`));
  await journal.prune(0, () => 3, 100);
  expect(told().map((one) => one !== undefined)).toEqual([...Array(3).fill(false), ...Array(7).fill(true)]);
});

test('where dead letters went that were tried again beside new events; no row is wider than what a look takes', async () => {
  const { journal, database } = open();
  await Promise.all(events.slice(0, 10).map(journal.record));
  const reader = createDeliveryReader(database.connection);
  const writer = createDeliveryWriter(database.connection, systemClock);
  const source = createJournalSource('c', 'events', { reader, clock: systemClock, post: writer.settle });
  const brought = (...seqs: number[]) =>
    seqs.map(
      (seq): Brought => ({ entry: entryOf(seq, madeEvent(seq)), kind: 'delivered', receipt: `${seq}`, attempts: 1 }),
    );
  const settle = (upTo: number, ...seqs: number[]) =>
    source.settle({ upTo, waiting: [], dead: [], released: [], brought: brought(...seqs) });
  settle(5, 1, 5);
  settle(7, 2, 6, 7);
  settle(8, 3, 8);
  settle(9, 4, 9);
  settle(50_000, 1, 49_999, 50_000);
  const seqs = [1, 2, 3, 4, 5, 6, 7, 8, 9, 49_999, 50_000];
  expect(seqs.map((seq) => reader.receipt('c', seq)?.receipt)).toEqual(seqs.map(String));
  const widest = database.connection.prepare('SELECT max(up_to - from_seq) AS n FROM receipts').get();
  expect(widest?.n).toBeLessThan(10_000);
});
