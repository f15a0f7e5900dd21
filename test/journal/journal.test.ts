import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { type Journal, openJournal } from '../../src/journal/append.ts';
import { type Database, openDatabase, openReader } from '../../src/journal/database.ts';
import type { JournalReport } from '../../src/journal/deliveries.ts';
import { refuseForeign } from '../../src/journal/foreign.ts';
import { createDeliveryReader } from '../../src/journal/reads.ts';
import { keepPruned, prunePass } from '../../src/journal/retention.ts';
import { systemClock } from '../../src/model/clock.ts';
import type { CanonicalEvent } from '../../src/model/event.ts';
import { BridgeError } from '../../src/model/fault.ts';
import { createSignals, type Signals } from '../../src/model/signal.ts';
import { madeEvent } from '../support/events.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'journal-'));
  file = join(folder, 'journal.db');
});
afterEach(() => rmSync(folder, { recursive: true }));

interface Opened {
  readonly database: Database;
  readonly journal: Journal;
  readonly commits: Signals['journal.committed'][];
  readonly failures: Signals['journal.failed'][];
}

function open(maxBytes?: number): Opened {
  const signals = createSignals();
  const commits: Signals['journal.committed'][] = [];
  const failures: Signals['journal.failed'][] = [];
  signals.on('journal.committed', (payload) => commits.push(payload));
  signals.on('journal.failed', (payload) => failures.push(payload));
  const database = openDatabase(file, maxBytes === undefined ? {} : { maxBytes });
  return { database, journal: openJournal(database, systemClock, signals), commits, failures };
}

/** The same on a log whose syncs end when the test says so. */
function openGated() {
  const signals = createSignals();
  const commits: Signals['journal.committed'][] = [];
  signals.on('journal.committed', (payload) => commits.push(payload));
  const database = openDatabase(file);
  const syncs: PromiseWithResolvers<void>[] = [];
  const sync = (): Promise<void> => {
    const gate = Promise.withResolvers<void>();
    syncs.push(gate);
    return gate.promise;
  };
  const gated = { ...database, log: { ...database.log, sync } };
  return { syncs, commits, signals, journal: openJournal(gated, systemClock, signals) };
}

/** What another process would find in the file. */
function onDisk(): CanonicalEvent[] {
  const connection = openReader(file);
  try {
    return createDeliveryReader(connection)
      .read(0, 1_000_000)
      .map(({ event }) => event);
  } finally {
    connection.close();
  }
}

const faultCode = (work: () => unknown): string | undefined => {
  try {
    work();
  } catch (thrown) {
    return thrown instanceof BridgeError ? thrown.fault.code : String(thrown);
  }
  return undefined;
};

describe('recorded means on disk', () => {
  test('another connection sees the event as soon as it is recorded', async () => {
    const { journal } = open();
    const event = madeEvent(1);
    expect(await journal.record(event)).toBe('recorded');
    expect(onDisk()).toEqual([event]);
    journal.close();
  });

  test('callbacks of one turn share one commit; the order is kept', async () => {
    const { journal, commits } = open();
    const events = Array.from({ length: 100 }, (_, index) => madeEvent(index));
    await Promise.all(events.map(journal.record));
    expect(commits).toMatchObject([{ events: 100, duplicates: 0, head: 100 }]);
    expect(onDisk()).toEqual(events);
    journal.close();
  });

  test('so do those of turns soon after a commit', async () => {
    const { journal, commits } = open();
    let made = 0;
    // A machine that stands still meanwhile has each of them come after a quiet while.
    while (!commits.some(({ events }) => events === 3)) {
      await journal.record(madeEvent(made++));
      const soon: Promise<unknown>[] = [];
      for (let turn = 0; turn < 3; turn++) {
        soon.push(journal.record(madeEvent(made++)));
        await nextTurn();
      }
      await Promise.all(soon);
    }
    journal.close();
  });

  test('an id is recorded once: in one commit, in a later one, after a restart', async () => {
    const first = open();
    expect(await Promise.all([madeEvent(1), madeEvent(1)].map(first.journal.record))).toEqual([
      'recorded',
      'duplicate',
    ]);
    expect(await first.journal.record(madeEvent(1))).toBe('duplicate');
    first.journal.close();
    const second = open();
    expect(await second.journal.record(madeEvent(1))).toBe('duplicate');
    expect(await second.journal.record(madeEvent(2))).toBe('recorded');
    expect(second.journal.head()).toBe(2);
    second.journal.close();
    expect(onDisk()).toEqual([madeEvent(1), madeEvent(2)]);
  });

  test('journal_mode and synchronous are what invariant 1 needs: a log, synced by the journal and at checkpoints', () => {
    const { database, journal } = open();
    expect(database.connection.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' });
    expect(database.connection.prepare('PRAGMA synchronous').get()).toEqual({ synchronous: 1 });
    journal.close();
  });

  test('recorded waits for a sync of the log begun after its commit; two may be under way, what is committed meanwhile waits', async () => {
    const { syncs, journal, commits } = openGated();
    const settled: number[] = [];
    const record = (n: number) => journal.record(madeEvent(n)).then(() => settled.push(n));
    const first = record(1);
    await expect.poll(() => syncs.length).toBe(1);
    const second = record(2);
    await expect.poll(() => syncs.length).toBe(2);
    // Committed while both are under way, in two transactions: they share the third.
    const third = record(3);
    await expect.poll(() => onDisk().length).toBe(3);
    const fourth = record(4);
    await expect.poll(() => onDisk().length).toBe(4);
    expect({ settled, commits: commits.length, syncs: syncs.length }).toEqual({ settled: [], commits: 0, syncs: 2 });
    syncs[1]?.resolve();
    await second;
    // The first has not come back, though a later one has.
    expect(settled).toEqual([2]);
    await expect.poll(() => syncs.length).toBe(3);
    syncs[2]?.resolve();
    await Promise.all([third, fourth]);
    expect(settled).toEqual([2, 3, 4]);
    syncs[0]?.resolve();
    await first;
    expect({ commits: commits.length, syncs: syncs.length }).toEqual({ commits: 4, syncs: 3 });
    journal.close();
  });

  test('a duplicate waits for a sync as well: that of the first may not be through', async () => {
    const { syncs, journal } = openGated();
    const outcomes: string[] = [];
    const both = [1, 1].map(async (n) => outcomes.push(await journal.record(madeEvent(n))));
    await expect.poll(() => syncs.length).toBe(1);
    expect(outcomes).toEqual([]);
    syncs[0]?.resolve();
    await Promise.all(both);
    expect(outcomes).toEqual(['recorded', 'duplicate']);
    journal.close();
  });

  test('a close syncs what still waits', async () => {
    const { syncs, journal } = openGated();
    const recorded = [1, 2, 3].map(async (n) => {
      await expect.poll(() => syncs.length).toBe(Math.min(n - 1, 2));
      return journal.record(madeEvent(n));
    });
    await expect.poll(() => onDisk().length).toBe(3);
    journal.close();
    expect(await Promise.all(recorded)).toEqual(['recorded', 'recorded', 'recorded']);
    // What comes back late says nothing any more.
    syncs[0]?.resolve();
    syncs[1]?.reject(new Error('EBADF'));
  });

  test('a seq is never given twice, also when all that was delivered is gone', async () => {
    const first = open();
    await first.journal.record(madeEvent(1));
    first.journal.settle({ ...SETTLED, upTo: 1 });
    first.journal.close();
    const { database, journal } = open();
    database.connection.exec('DELETE FROM events');
    journal.close();
    const second = open();
    await second.journal.record(madeEvent(2));
    expect(second.journal.head()).toBe(2);
    second.journal.close();
  });

  test('nor where the only connector was sent back to the beginning, of which nothing is left', async () => {
    const first = open();
    await Promise.all([1, 2, 3].map((n) => first.journal.record(madeEvent(n))));
    first.journal.settle({ ...SETTLED, upTo: 3 });
    first.journal.flushGroups();
    await first.journal.prune(0, () => 3, 10);
    first.journal.settle({ ...SETTLED, upTo: 0, rewind: true });
    first.journal.close();
    const second = open();
    await second.journal.record(madeEvent(4));
    expect(second.journal.head()).toBe(4);
    second.journal.close();
  });
});

describe('a journal that cannot record says so', () => {
  test('the failed events are refused, later ones are recorded once there is room', async () => {
    const { database, journal, failures } = open();
    const { page_count: pages } = database.connection.prepare('PRAGMA page_count').get() as { page_count: number };
    database.connection.exec(`PRAGMA max_page_count = ${pages}`);
    const large = madeEvent(1, { name: 'x'.repeat(50_000) });
    await expect(journal.record(large)).rejects.toMatchObject({
      fault: { code: 'journal-unwritable', path: 'journal.file' },
    });
    expect(failures).toHaveLength(1);
    expect(onDisk()).toEqual([]);
    database.connection.exec('PRAGMA max_page_count = 1000000');
    expect(await journal.record(large)).toBe('recorded');
    journal.close();
    expect(onDisk()).toEqual([large]);
  });

  test('one that has reached maxBytes names that, and what makes room: not the disk', async () => {
    const { journal } = open(1_048_576);
    const fill = async (): Promise<never> => {
      for (let n = 1; ; n++) await journal.record(madeEvent(n, { introduction: 'x'.repeat(9_000) }));
    };
    await expect(fill()).rejects.toMatchObject({
      fault: {
        message: 'the callback cannot be recorded: the journal has reached journal.maxBytes',
        suggestion: expect.stringMatching(
          /mend the connectors that are behind, retry or discard dead letters, or raise journal.maxBytes/,
        ),
      },
    });
    journal.close();
  });

  test('what lanes settled is written after all, with the next commit that succeeds', async () => {
    const { database, journal } = open();
    await journal.record(madeEvent(1));
    const { page_count: pages } = database.connection.prepare('PRAGMA page_count').get() as { page_count: number };
    database.connection.exec(`PRAGMA max_page_count = ${pages}`);
    journal.settle({ ...SETTLED, upTo: 1 });
    await expect(journal.record(madeEvent(2, { name: 'x'.repeat(50_000) }))).rejects.toThrow();
    database.connection.exec('PRAGMA max_page_count = 1000000');
    await journal.record(madeEvent(3));
    expect(createDeliveryReader(database.connection).cursor('c')).toBe(1);
    journal.close();
  });

  test('a log that cannot be synced: nothing is called recorded until a checkpoint has brought everything into the file', async () => {
    const { syncs, journal, signals } = openGated();
    const heard: string[] = [];
    signals.tap((name) => heard.push(name));
    const refused = expect(journal.record(madeEvent(1))).rejects.toMatchObject({
      fault: { code: 'journal-unwritable', suggestion: expect.stringMatching(/^see why .* refuses a write: EIO/) },
    });
    await expect.poll(() => syncs.length).toBe(1);
    syncs[0]?.reject(new Error('EIO'));
    await refused;
    // The disk may say yes next time, and say nothing of what it lost.
    await expect(journal.record(madeEvent(1))).rejects.toMatchObject({ fault: { code: 'journal-unwritable' } });
    expect(syncs).toHaveLength(1);
    const inFile = () => readFileSync(file, 'latin1').includes(madeEvent(1).id);
    expect(inFile()).toBe(false);
    await expect.poll(() => heard).toContain('journal.recovered');
    expect(inFile()).toBe(true);
    const again = journal.record(madeEvent(1));
    await expect.poll(() => syncs.length).toBe(2);
    syncs[1]?.resolve();
    expect(await again).toBe('duplicate');
    expect(heard.filter((name) => name === 'journal.failed')).toHaveLength(1);
    journal.close();
  });

  test('a closed journal takes nothing', async () => {
    const { journal } = open();
    journal.close();
    await expect(journal.record(madeEvent(1))).rejects.toMatchObject({ fault: { code: 'stopping' } });
  });
});

const SETTLED: JournalReport = { connector: 'c', upTo: 0, waiting: [], dead: [], released: [] };
const FAULT = { code: 'event-refused', message: 'no' } as const;

describe('deliveries', () => {
  test('cursor and rows survive a restart', async () => {
    const first = open();
    await Promise.all([1, 2, 3].map((n) => first.journal.record(madeEvent(n))));
    first.journal.settle({
      ...SETTLED,
      upTo: 3,
      waiting: [{ seq: 2, attempts: 4, dueAt: 99, fault: FAULT }],
      dead: [{ seq: 3, attempts: 1, fault: FAULT }],
    });
    first.journal.close();
    const { database, journal } = open();
    const reader = createDeliveryReader(database.connection);
    expect(reader.cursor('c')).toBe(3);
    const [waiting] = reader.waiting('c');
    expect(waiting).toMatchObject({ entry: { seq: 2 }, attempts: 4, dueAt: 99, fault: FAULT });
    expect(waiting?.entry.event).toEqual(madeEvent(2));
    expect(reader.countDeadLetters('c')).toBe(1);
    expect(reader.countWaiting('c')).toBe(1);
    expect(reader.cursor('another')).toBe(0);
    journal.close();
  });

  test('a released event waits no more; a cursor never goes back', async () => {
    const { database, journal } = open();
    await journal.record(madeEvent(1));
    const reader = createDeliveryReader(database.connection);
    journal.settle({ ...SETTLED, upTo: 1, waiting: [{ seq: 1, attempts: 1, dueAt: 1, fault: FAULT }] });
    journal.settle({ ...SETTLED, upTo: 0, released: [1] });
    await journal.record(madeEvent(2));
    expect(reader.waiting('c')).toEqual([]);
    expect(reader.cursor('c')).toBe(1);
    journal.close();
  });

  test('large events come in smaller batches, none is left out', async () => {
    const { database, journal } = open();
    const large = Array.from({ length: 30 }, (_, n) => madeEvent(n, { introduction: 'x'.repeat(400_000) }));
    await Promise.all(large.map(journal.record));
    const reader = createDeliveryReader(database.connection);
    const found: CanonicalEvent[] = [];
    const sizes: number[] = [];
    for (let after = 0; ; ) {
      const batch = reader.read(after, 1_000);
      const last = batch.at(-1);
      if (last === undefined) break;
      found.push(...batch.map(({ event }) => event));
      sizes.push(batch.length);
      after = last.seq;
    }
    expect(found).toEqual(large);
    expect(sizes).toEqual([11, 11, 8]);
    journal.close();
  });

  test('a replay moves the cursor back and forgets the rows behind it, not those before', async () => {
    const { database, journal } = open();
    await Promise.all([1, 2, 3, 4].map((n) => journal.record(madeEvent(n))));
    const dead = [1, 3, 4].map((seq) => ({ seq, attempts: 1, fault: FAULT }));
    journal.settle({ ...SETTLED, upTo: 4, dead });
    journal.settle({ ...SETTLED, connector: 'another', upTo: 4, dead });
    journal.settle({ ...SETTLED, upTo: 2, rewind: true });
    await journal.record(madeEvent(5));
    const reader = createDeliveryReader(database.connection);
    expect(reader.cursor('c')).toBe(2);
    expect(reader.deadLetters('c', 0, 10).map(({ seq }) => seq)).toEqual([1]);
    expect(reader.deadLetterSeqs('another', 2)).toEqual([1, 3]);
    expect(reader.cursor('another')).toBe(4);
    expect(reader.countDeadLetters('another')).toBe(3);
    journal.close();
  });

  test('settlements are written soon also when no callback comes', async () => {
    const { database, journal } = open();
    await journal.record(madeEvent(1));
    journal.settle({ ...SETTLED, upTo: 1 });
    const reader = createDeliveryReader(database.connection);
    await expect.poll(() => reader.cursor('c')).toBe(1);
    journal.close();
  });
});

describe('a file that cannot be a journal is refused, and left as it is', () => {
  test('one that another bridge has open', () => {
    const { journal } = open();
    expect(faultCode(() => open())).toBe('journal-in-use');
    journal.close();
    expect(faultCode(() => open().journal.close())).toBe(undefined);
  });

  test('the database of another program', () => {
    const other = new DatabaseSync(file);
    other.exec('CREATE TABLE theirs (x)');
    other.close();
    expect(faultCode(() => open())).toBe('journal-unusable');
  });

  test.each<[string, RegExp, () => void]>([
    [
      'the database of another program, with its log',
      /SQLite database of another program/,
      () => {
        const other = new DatabaseSync(file);
        onTestFinished(() => other.close());
        other.exec('CREATE TABLE theirs (x); PRAGMA journal_mode = WAL; INSERT INTO theirs VALUES (1)');
      },
    ],
    ['a folder', /it is a folder/, () => mkdirSync(file)],
    ['a pipe', /it is no file/, () => execFileSync('mkfifo', [file])],
  ])('%s is left as it is, with its permissions and its folder; check says so, too', async (_, why, make) => {
    make();
    chmodSync(file, 0o755);
    const found = () =>
      readdirSync(folder).map((name) => {
        const { mode, mtimeNs, ino } = statSync(join(folder, name), { bigint: true });
        return { name, mode, mtimeNs, ino };
      });
    const before = found();
    expect(() => open()).toThrow(why);
    expect(() => refuseForeign(file)).toThrow(why);
    expect(found()).toEqual(before);
  });

  test('one written by a newer version', () => {
    const { database, journal } = open();
    database.connection.exec('PRAGMA user_version = 999');
    journal.close();
    // Whoever moved it away would lose what is not delivered.
    const suggestion = expect.stringMatching(/^nothing was changed in it; start that version again/);
    const fault = expect.objectContaining({ code: 'journal-unusable', suggestion });
    expect(() => open()).toThrow(expect.objectContaining({ fault }));
  });

  test('one in a folder that cannot be', () => {
    writeFileSync(join(folder, 'plain'), '');
    file = join(folder, 'plain', 'journal.db');
    // It is no stranger's: whoever moved it away would lose what is not delivered.
    const suggestion = expect.stringMatching(/^let the user that the bridge runs as write it/);
    const fault = expect.objectContaining({ code: 'journal-unusable', suggestion });
    expect(() => open()).toThrow(expect.objectContaining({ fault }));
  });
});

describe('a damaged journal is set aside, never overwritten, and a new one begun', () => {
  const damages: Signals['journal.damaged'][] = [];
  const openDamaged = (): Database => {
    damages.length = 0;
    return openDatabase(file, { onDamaged: (damage) => damages.push(damage) });
  };
  /** The journal of a bridge that was killed: with a log that was not folded into the file. */
  async function filled(): Promise<void> {
    const { journal } = open();
    await Promise.all(Array.from({ length: 500 }, (_, n) => journal.record(madeEvent(n))));
    journal.close();
  }

  test('a file that is no database any more', () => {
    const text = 'not a database at all'.repeat(100);
    writeFileSync(file, text);
    openDamaged().close();
    expect(damages).toMatchObject([{ file, reason: expect.stringMatching(/not a database/) }]);
    expect(readFileSync(damages[0]?.setAside ?? '', 'utf8')).toBe(text);
  });

  test('pages overwritten in the middle', async () => {
    await filled();
    const bytes = readFileSync(file);
    bytes.fill(0xa5, bytes.length >> 1, (bytes.length >> 1) + 8_192);
    writeFileSync(file, bytes);
    const database = openDamaged();
    expect(createDeliveryReader(database.connection).head()).toBe(0);
    database.close();
    expect(damages).toHaveLength(1);
    expect(readFileSync(damages[0]?.setAside ?? '').equals(bytes)).toBe(true);
  });

  test('a file cut short', async () => {
    await filled();
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.subarray(0, bytes.length - 20_000));
    openDamaged().close();
    expect(damages).toHaveLength(1);
  });

  test('one that is whole is not set aside, also after a kill', async () => {
    await filled();
    openDamaged().close();
    expect(damages).toEqual([]);
  });
});

describe('retention', () => {
  const reader = (database: Database) => createDeliveryReader(database.connection);
  const prune = (opened: Opened, connectors: string[], now: number) => {
    opened.journal.flushGroups();
    return prunePass(
      () => ({ keepDelivered: 100, connectors }),
      { journal: opened.journal, reader: reader(opened.database), clock: { ...systemClock, now: () => now } },
      new AbortController().signal,
    );
  };
  /** Event n was received at this time. */
  const received = (n: number): number => madeEvent(n).data.receivedAt;

  test('delivered events older than keepDelivered are pruned, younger ones stay', async () => {
    const opened = open();
    for (let n = 1; n <= 10; n++) await opened.journal.record(madeEvent(n));
    opened.journal.settle({ ...SETTLED, upTo: 10 });
    await expect.poll(() => reader(opened.database).cursor('c')).toBe(10);
    expect(await prune(opened, ['c'], received(5) + 100)).toBe(4);
    expect(onDisk()).toEqual([5, 6, 7, 8, 9, 10].map((n) => madeEvent(n)));
    opened.journal.close();
  });

  test('what one enabled connector has not taken stays, and so do dead letters and waiting events', async () => {
    const opened = open();
    for (let n = 1; n <= 10; n++) await opened.journal.record(madeEvent(n));
    const rows = {
      dead: [{ seq: 2, attempts: 1, fault: FAULT }],
      waiting: [{ seq: 4, attempts: 1, dueAt: 1, fault: FAULT }],
    };
    opened.journal.settle({ ...SETTLED, ...rows, upTo: 10 });
    opened.journal.settle({ ...SETTLED, connector: 'slow', upTo: 6 });
    await expect.poll(() => reader(opened.database).cursor('slow')).toBe(6);
    expect(await prune(opened, ['c', 'slow'], received(100_000))).toBe(4);
    expect(onDisk()).toEqual([2, 4, 7, 8, 9, 10].map((n) => madeEvent(n)));
    expect(await prune(opened, ['c', 'another'], received(100_000))).toBe(0);
    opened.journal.close();
  });

  test('what waits at a connector that is not enabled any more goes with its row; its dead letters stay', async () => {
    const opened = open();
    for (let n = 1; n <= 4; n++) await opened.journal.record(madeEvent(n));
    const waits = (seq: number) => ({ seq, attempts: 1, dueAt: 1, fault: FAULT });
    const dead = [{ seq: 1, attempts: 1, fault: FAULT }];
    opened.journal.settle({ ...SETTLED, connector: 'gone', dead, waiting: [waits(2), waits(3)], upTo: 4 });
    opened.journal.settle({ ...SETTLED, waiting: [waits(3)], upTo: 4 });
    await expect.poll(() => reader(opened.database).cursor('c')).toBe(4);
    expect(await prune(opened, ['c'], received(100_000))).toBe(2);
    expect(onDisk()).toEqual([1, 3].map((n) => madeEvent(n)));
    expect(reader(opened.database).countWaiting('gone')).toBe(1);
    opened.journal.close();
  });

  test('how many events were pruned that a connector had not had is kept until it passes them over', async () => {
    const opened = open();
    const { missed } = reader(opened.database);
    for (let n = 1; n <= 6; n++) await opened.journal.record(madeEvent(n));
    const waiting = [{ seq: 1, attempts: 1, dueAt: 1, fault: FAULT }];
    opened.journal.settle({ ...SETTLED, connector: 'away', waiting, upTo: 2 });
    opened.journal.settle({ ...SETTLED, dead: [{ seq: 3, attempts: 1, fault: FAULT }], upTo: 6 });
    await expect.poll(() => reader(opened.database).cursor('c')).toBe(6);
    expect(await prune(opened, ['c'], received(5) + 100)).toBe(3);
    expect(await prune(opened, ['c'], received(100_000))).toBe(2);
    expect(['away', 'c', 'none'].map(missed)).toEqual([4, 0, 0]);
    // A replay, or a retry, may be asked for before it is told of.
    opened.journal.settle({ ...SETTLED, connector: 'away', upTo: 3 });
    await expect.poll(() => reader(opened.database).cursor('away')).toBe(3);
    expect(missed('away')).toBe(4);
    opened.journal.settle({ ...SETTLED, connector: 'away', passedOver: true, upTo: 3 });
    await expect.poll(() => missed('away')).toBe(0);
    opened.journal.close();
  });

  test.each([
    ['some', 5, 2],
    ['all', 100_000, 4],
  ])(
    'what an earlier version had pruned meanwhile is counted when its journal is opened: %s',
    async (_, upTo, lacking) => {
      const opened = open();
      for (let n = 1; n <= 6; n++) await opened.journal.record(madeEvent(n));
      opened.journal.settle({ ...SETTLED, connector: 'away', upTo: 2 });
      opened.journal.settle({ ...SETTLED, upTo: 6 });
      await expect.poll(() => reader(opened.database).cursor('c')).toBe(6);
      await prune(opened, ['c'], received(upTo) + 100);
      opened.database.connection.exec(
        'ALTER TABLE lanes DROP COLUMN missed; DROP TABLE discarded; PRAGMA user_version = 9',
      );
      opened.journal.close();
      const { missed } = reader(open().database);
      expect(['away', 'c'].map(missed)).toEqual([lacking, 0]);
    },
  );

  test('above 80 % of maxBytes delivered events go whatever their age, until there is room; undelivered ones stay', async () => {
    const opened = open(1_048_576);
    const large = (n: number) => madeEvent(n, { introduction: 'x'.repeat(9_000) });
    let n = 0;
    while (opened.journal.fill() < 0.9) await opened.journal.record(large(++n));
    expect(await prune(opened, ['c'], 0)).toBe(0);
    opened.journal.settle({ ...SETTLED, upTo: n - 5 });
    await expect.poll(() => reader(opened.database).cursor('c')).toBe(n - 5);
    const pruned = await prune(opened, ['c'], 0);
    expect(pruned).toBeGreaterThan(0);
    expect(opened.journal.fill()).toBeLessThan(0.8);
    expect(onDisk().slice(-5)).toEqual([4, 3, 2, 1, 0].map((back) => large(n - back)));
    expect(await prune(opened, ['c'], 0)).toBe(0);
    opened.journal.close();
  });

  test('a clock that is set back does not put off the next pass', async () => {
    const opened = open();
    for (let n = 1; n <= 10; n++) await opened.journal.record(madeEvent(n));
    opened.journal.flushGroups();
    const HOUR_MS = 3_600_000;
    let now = received(1) + 2 * HOUR_MS;
    let looks = 0;
    const clock = {
      now: () => now,
      sleep: async () => {
        looks++;
        await nextTurn();
      },
    };
    const over = new AbortController();
    const ports = { journal: opened.journal, reader: reader(opened.database), clock, signals: createSignals() };
    const pruning = keepPruned(() => ({ keepDelivered: 100, connectors: ['c'] }), ports, over.signal);
    await expect.poll(() => looks).toBeGreaterThan(0);
    now -= HOUR_MS;
    opened.journal.settle({ ...SETTLED, upTo: 10 });
    await expect.poll(onDisk).toEqual([]);
    over.abort();
    await pruning;
    opened.journal.close();
  });

  test('many are pruned in small steps', async () => {
    const opened = open();
    await Promise.all(Array.from({ length: 1_700 }, (_, n) => opened.journal.record(madeEvent(n))));
    opened.journal.settle({ ...SETTLED, upTo: 1_700 });
    await expect.poll(() => reader(opened.database).cursor('c')).toBe(1_700);
    opened.commits.length = 0;
    expect(await prune(opened, ['c'], received(100_000))).toBe(1_700);
    expect(opened.commits).toHaveLength(4);
    expect(onDisk()).toEqual([]);
    opened.journal.close();
  });
});

test('what was received before the clock was set back, at the beginning, does not keep all after it from being pruned', async () => {
  const { database, journal } = open();
  for (let n = 1; n <= 100; n++) await journal.record(madeEvent(n));
  // Seqs 61 and 62 bear times of a year ahead, and all before them is pruned.
  database.connection.exec(
    'DELETE FROM events WHERE seq <= 60; UPDATE events SET received_at = received_at + 31536000000 WHERE seq < 63',
  );
  const reader = createDeliveryReader(database.connection);
  expect(reader.seqAt(madeEvent(90).data.receivedAt)).toBe(90);
  journal.close();
});

test('a time is found among seqs, whatever was pruned', async () => {
  const { database, journal } = open();
  for (let n = 1; n <= 20; n++) await journal.record(madeEvent(n * 10));
  database.connection.exec('DELETE FROM events WHERE seq < 5 OR seq = 9');
  const reader = createDeliveryReader(database.connection);
  const firstFrom = (n: number) => reader.read(reader.seqAt(madeEvent(n).data.receivedAt) - 1, 1)[0]?.seq;
  expect([0, 100, 101, 200].map(firstFrom)).toEqual([5, 10, 11, 20]);
  expect(reader.seqAt(madeEvent(201).data.receivedAt)).toBe(21);
  journal.close();
});
