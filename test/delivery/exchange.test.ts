/** Lanes come and go while delivery goes on: each next one begins where, and only when, the one before has left off. */
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { EventSink, Holds, Outcomes, Sink } from '../../connectors/contract.ts';
import { laneOptions } from '../../src/config/connectors.ts';
import type { ConnectorConfig } from '../../src/config/schema.ts';
import { compileFilter } from '../../src/delivery/filter.ts';
import { startLane } from '../../src/delivery/lane.ts';
import { createLanes } from '../../src/delivery/lanes.ts';
import { startDelivery } from '../../src/delivery/thread/host.ts';
import { openJournal } from '../../src/journal/append.ts';
import { openDatabase } from '../../src/journal/database.ts';
import type { JournalReport } from '../../src/journal/deliveries.ts';
import { createJournalSource, waitingEntries } from '../../src/journal/deliveries.ts';
import { createGroupReader } from '../../src/journal/groups.ts';
import { createDeliveryReader } from '../../src/journal/reads.ts';
import { prunePass } from '../../src/journal/retention.ts';
import { systemClock } from '../../src/model/clock.ts';
import type { Entry } from '../../src/model/entry.ts';
import type { Fault } from '../../src/model/fault.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import { createSignals } from '../../src/model/signal.ts';
import { madeEvent } from '../support/events.ts';

/*
 * Doubles: sinks that answer when the test says, and a clock whose sleeps end when it does. The journal is a real one;
 * what lanes settle is kept from it, as late as it can come: it says of every connector that it has taken nothing.
 */

const DELIVERED: Outcome = { kind: 'delivered', receipt: 'r' };
const RETRY: Outcome = { kind: 'retry', fault: { code: 'event-refused', message: 'no' }, afterMs: 3_600_000 };

function openedJournal() {
  const folder = mkdtempSync(join(tmpdir(), 'exchange-'));
  const file = join(folder, 'journal.db');
  const signals = createSignals();
  const database = openDatabase(file);
  const journal = openJournal(database, systemClock, signals);
  onTestFinished(() => {
    journal.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const reader = createDeliveryReader(database.connection);
  const groups = createGroupReader(database.connection);
  const record = async (from: number, to: number): Promise<void> => {
    for (let n = from; n <= to; n++) await journal.record(madeEvent(n, { name: `${n}` }, `@TGS#${n % 2}`));
    journal.flushGroups();
  };
  return { folder, file, signals, journal, reader, groups, record };
}

/** One destination; `answer` and `resync` may be replaced, and are given the signal. */
function destination(holds: Holds = 'events') {
  const given: string[] = [];
  const resynced: string[][] = [];
  const made = {
    holds,
    /** The names that entries brought, in the order in which they came. */
    given,
    resynced,
    opens: 0,
    closes: 0,
    async close(): Promise<void> {
      made.closes++;
    },
    answer: async (batch: readonly Entry[], _signal: AbortSignal): Promise<Outcomes> =>
      new Map(batch.map(({ id }) => [id, DELIVERED])),
    resync: async (_signal: AbortSignal): Promise<void> => {},
    take(batch: readonly Entry[]): void {
      given.push(...batch.map(({ event }) => event.data.changed.name ?? ''));
    },
    async open(): Promise<Sink> {
      made.opens++;
      if (holds === 'events') {
        const deliver: EventSink['deliver'] = async (batch, signal) => {
          made.take(batch);
          return made.answer(batch, signal);
        };
        return { holds, deliver, close: () => made.close() };
      }
      return {
        holds,
        async put(states, how, signal) {
          if (how === 'repair') {
            resynced.push(states.map(({ groupId }) => groupId));
            await made.resync(signal);
          }
          return new Map(states.map(({ groupId }) => [groupId, DELIVERED]));
        },
        close: () => made.close(),
      };
    },
  };
  return made;
}

type Destination = ReturnType<typeof destination>;

/** Lanes to the destinations that a connector's `path` names. */
function lanesTo(destinations: Record<string, Destination>) {
  const opened = openedJournal();
  const reports: JournalReport[] = [];
  const sleeping: { ms: number; end(): void }[] = [];
  const stop = new AbortController();
  const clock = {
    now: Date.now,
    elapsed: () => performance.now(),
    sleep: (ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve) => {
        sleeping.push({ ms, end: resolve });
        signal?.addEventListener('abort', () => resolve());
        // A batch that gathers.
        if (ms <= 1_000) setImmediate(resolve);
        if (signal?.aborted) resolve();
      }),
  };
  const lanes = createLanes(
    (connector, config, from, heard) => {
      const place = destinations[basename(config.path as string)] as Destination;
      const source = createJournalSource(connector, place.holds, {
        reader: opened.reader,
        clock,
        post(report) {
          if (heard()) reports.push(report);
        },
      });
      return startLane(
        { connector, batch: config.batch, retry: config.retry, filter: compileFilter({}) },
        {
          source,
          open: place.open,
          groups: opened.groups,
          // A sink of groups sees states, not what is delivered with them.
          trace: (_connector, batch, work) => {
            if (place.holds === 'groups') place.take(batch);
            return work();
          },
          clock,
          signals: createSignals(),
          random: () => 0,
        },
        {
          paused: false,
          from: from ?? {
            cursor: opened.reader.cursor(connector),
            waiting: waitingEntries(opened.reader, connector, clock, 30_000),
          },
        },
        stop.signal,
      );
    },
    clock,
    opened.reader.has,
  );
  onTestFinished(() => stop.abort());
  return { ...opened, lanes, reports, sleeping, stop };
}

const to = (path: string): ConnectorConfig => ({ ...laneOptions.parse({}), kind: 'file', path, mode: 0o600 });

test('the batch in flight is settled, the sink closed, then the next lane goes on behind it, whatever the journal says', async () => {
  const [before, after] = [destination(), destination()];
  const { lanes, record, reports } = lanesTo({ before, after });
  await record(1, 4);
  const answered = Promise.withResolvers<void>();
  before.answer = async (batch) => {
    await answered.promise;
    return new Map(batch.map(({ id }) => [id, DELIVERED]));
  };
  await lanes.exchange([], { c: to('before') });
  await expect.poll(() => before.given).toEqual(['1', '2', '3', '4']);
  const exchanged = lanes.exchange(['c'], { c: to('after') });
  await record(5, 6);
  lanes.wake();
  expect([before.closes, after.opens]).toEqual([0, 0]);
  answered.resolve();
  await exchanged;
  await expect.poll(() => after.given).toEqual(['5', '6']);
  expect([before.closes, before.given.length]).toEqual([1, 4]);
  expect(reports.map(({ upTo }) => upTo)).toEqual([4, 6]);
});

test('what waits for its retry goes to the next lane, at once, and its group behind it', async () => {
  const [before, after] = [destination(), destination()];
  const { lanes, record, reports } = lanesTo({ before, after });
  await record(1, 4);
  before.answer = async (batch) =>
    new Map(batch.map(({ id, event }) => [id, event.data.changed.name === '1' ? RETRY : DELIVERED]));
  await lanes.exchange([], { c: to('before') });
  await expect.poll(() => reports.at(-1)?.waiting.map(({ seq }) => seq)).toEqual([1]);
  await record(5, 5);
  lanes.wake();
  await expect.poll(() => reports.at(-1)?.waiting.map(({ seq }) => seq)).toEqual([5]);
  await lanes.exchange(['c'], { c: to('after') });
  await expect.poll(() => after.given).toEqual(['1', '5']);
  expect(reports.flatMap(({ released }) => released)).toEqual([1, 5]);
});

test('a batch that takes too long is aborted; its events are the next lane’s', async () => {
  const [before, after] = [destination(), destination()];
  const { lanes, record, sleeping } = lanesTo({ before, after });
  await record(1, 2);
  before.answer = (_, signal) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  await lanes.exchange([], { c: to('before') });
  await expect.poll(() => before.given).toEqual(['1', '2']);
  const exchanged = lanes.exchange(['c'], { c: to('after') });
  sleeping.find(({ ms }) => ms === 5_000)?.end();
  await exchanged;
  expect(before.closes).toBe(1);
  await expect.poll(() => after.given).toEqual(['1', '2']);
});

test('a sink that heeds nothing is left behind, and what it still says counts no more', async () => {
  const [before, after] = [destination(), destination()];
  const { lanes, record, reports, sleeping } = lanesTo({ before, after });
  await record(1, 2);
  const answered = Promise.withResolvers<Outcomes>();
  before.answer = () => answered.promise;
  await lanes.exchange([], { c: to('before') });
  await expect.poll(() => before.given).toEqual(['1', '2']);
  const exchanged = lanes.exchange(['c'], { c: to('after') });
  for (const { ms, end } of sleeping) if (ms <= 8_000) end();
  await exchanged;
  expect(before.closes).toBe(0);
  await expect.poll(() => reports.map(({ upTo }) => upTo)).toEqual([2]);
  answered.resolve(new Map());
  await expect.poll(() => before.closes).toBe(1);
  expect(reports).toHaveLength(1);
  expect(after.given).toEqual(['1', '2']);
});

test('what another connector wrote to goes to the next one once that has ended, as under another name; other lanes do not wait', async () => {
  const [place, other] = [destination(), destination()];
  const { lanes, record } = lanesTo({ place, other });
  await record(1, 2);
  const answered = Promise.withResolvers<void>();
  place.answer = async (batch) => {
    await answered.promise;
    return new Map(batch.map(({ id }) => [id, DELIVERED]));
  };
  await lanes.exchange([], { before: to('place') });
  await expect.poll(() => place.given).toEqual(['1', '2']);
  const exchanged = lanes.exchange(['before'], { after: to('./place'), beside: to('other') });
  await expect.poll(() => other.given).toEqual(['1', '2']);
  expect([place.opens, place.closes]).toEqual([1, 0]);
  answered.resolve();
  await exchanged;
  await expect.poll(() => place.given).toEqual(['1', '2', '1', '2']);
  expect([place.opens, place.closes]).toEqual([2, 1]);
});

test('a connector that comes back goes on where it left off', async () => {
  const place = destination();
  const { lanes, record } = lanesTo({ place });
  await record(1, 2);
  await lanes.exchange([], { c: to('place') });
  await expect.poll(() => place.given).toEqual(['1', '2']);
  await lanes.exchange(['c'], {});
  await record(3, 4);
  await lanes.exchange([], { c: to('place') });
  await expect.poll(() => place.given).toEqual(['1', '2', '3', '4']);
});

test('what was forgotten while a connector was away is not waited for any more', async () => {
  const place = destination();
  const { lanes, journal, record, reports } = lanesTo({ place });
  await record(1, 4);
  place.answer = async (batch) => new Map(batch.map(({ id, seq }) => [id, seq === 1 ? RETRY : DELIVERED]));
  await lanes.exchange([], { c: to('place') });
  await expect.poll(() => reports.at(-1)?.waiting.map(({ seq }) => seq)).toEqual([1]);
  await lanes.exchange(['c'], {});
  expect(await journal.forget('@TGS#1')).toBeUndefined();
  place.given.length = 0;
  await lanes.exchange([], { c: to('place') });
  await record(5, 5);
  lanes.wake();
  await expect.poll(() => place.given).toEqual(['5']);
});

test.each(['before', 'meanwhile'])(
  'a resync that goes on is the next lane’s, and so is what is asked for %s',
  async (when) => {
    const [before, after] = [destination('groups'), destination('groups')];
    const { lanes, record, sleeping } = lanesTo({ before, after });
    await record(1, 4);
    await lanes.exchange([], { c: to('before') });
    await expect.poll(() => before.given).toHaveLength(4);
    before.resync = (signal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    void lanes.ask('c', { kind: 'resync', how: 'repair' });
    await expect.poll(() => before.resynced).toHaveLength(1);
    const replay = () => lanes.ask('c', { kind: 'replay', cursor: 2 });
    if (when === 'before') void replay();
    const exchanged = lanes.exchange(['c'], { c: to('after') });
    if (when === 'meanwhile') void replay();
    sleeping.find(({ ms }) => ms === 5_000)?.end();
    await exchanged;
    await expect.poll(() => after.given).toEqual(['3', '4']);
    expect(after.resynced).toEqual([['@TGS#0', '@TGS#1']]);
  },
);

test('a drain in the midst of it ends the next lane, too, when it has delivered what is there', async () => {
  const [before, after] = [destination(), destination()];
  const { lanes, record } = lanesTo({ before, after });
  await record(1, 2);
  const answered = Promise.withResolvers<void>();
  before.answer = async (batch) => {
    await answered.promise;
    return new Map(batch.map(({ id }) => [id, DELIVERED]));
  };
  await lanes.exchange([], { c: to('before') });
  await expect.poll(() => before.given).toHaveLength(2);
  const exchanged = lanes.exchange(['c'], { c: to('after') });
  await record(3, 4);
  const drained = lanes.drain();
  answered.resolve();
  await Promise.all([exchanged, drained]);
  expect([before.closes, after.closes, after.given]).toEqual([1, 1, ['3', '4']]);
});

test('a sink that cannot be closed keeps no other lane from delivering what is there', async () => {
  const [broken, slow] = [destination(), destination()];
  const { lanes, record } = lanesTo({ broken, slow });
  const unhandled: unknown[] = [];
  const note = (thrown: unknown): void => void unhandled.push(thrown);
  process.on('unhandledRejection', note);
  onTestFinished(() => void process.off('unhandledRejection', note));
  await record(1, 2);
  const answered = Promise.withResolvers<void>();
  slow.answer = async (batch) => {
    await answered.promise;
    return new Map(batch.map(({ id }) => [id, DELIVERED]));
  };
  await lanes.exchange([], { broken: to('broken'), slow: to('slow') });
  await expect.poll(() => [broken.given.length, slow.given.length]).toEqual([2, 2]);
  broken.close = async () => {
    throw new Error('it is closed already');
  };
  await record(3, 4);
  const drained = lanes.drain();
  await expect.poll(() => broken.given).toHaveLength(4);
  answered.resolve();
  await drained;
  expect(slow.given).toEqual(['1', '2', '3', '4']);
  expect(unhandled).toEqual([]);
});

describe('the delivery thread', () => {
  test('after a crash has the connectors of the last reload, not those of the start', async () => {
    const { folder, file, signals, journal, reader, record } = openedJournal();
    const written = async (name: string): Promise<string[]> =>
      (await readFile(join(folder, name), 'utf8').catch(() => ''))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line).data.changed.name);
    const crashes: unknown[] = [];
    signals.on('relay.crashed', ({ fault }) => crashes.push(fault));
    signals.on('journal.committed', () => delivery.wake());
    const file1 = { first: to(join(folder, 'first')) };
    const both = { second: to(join(folder, 'second')), third: to(join(folder, 'third')) };
    const delivery = startDelivery(
      { journalFile: file, source: 'urn:tencent-chat:app:1400701118', connectors: file1 },
      journal,
      signals,
    );
    onTestFinished(() => delivery.stop(0));
    await record(1, 1);
    await expect.poll(() => written('first')).toEqual(['1']);
    await delivery.exchange(both, ['first'], ['second', 'third']);
    for (const name of ['second', 'third']) await expect.poll(() => reader.cursor(name)).toBe(1);

    // No file is so wrong that the schema would let it through and the thread could not live with it; this one is.
    const wrong = { ...to(''), filter: { groupIds: 1 } } as unknown as ConnectorConfig;
    await delivery.exchange({ ...both, wrong }, [], ['wrong']);
    await expect.poll(() => crashes.length).toBeGreaterThan(0);
    await delivery.exchange(both, ['wrong'], []);
    await record(2, 3);
    for (const name of ['second', 'third']) await expect.poll(() => written(name)).toEqual(['1', '2', '3']);
    expect(await written('first')).toEqual(['1']);
  });

  test('that ends of what a module of the user’s began and did not await names that module', async () => {
    const { folder, file, signals, journal, record } = openedJournal();
    const crashed = new Promise<{ fault: Fault }>((resolve) => signals.on('relay.crashed', resolve));
    signals.on('journal.committed', () => delivery.wake());
    const transform = join(folder, 'mine.mjs');
    await writeFile(transform, 'export default (event) => (Promise.reject(new Error("stray")), event);\n');
    const shaped = {
      ...to(join(folder, 'shaped')),
      shape: { transform, transformMs: 1_000, fields: {}, omit: [], constants: {} },
    };
    const delivery = startDelivery(
      { journalFile: file, source: 'urn:tencent-chat:app:1400701118', connectors: { shaped } },
      journal,
      signals,
    );
    onTestFinished(() => delivery.stop(0));
    await record(1, 1);
    expect((await crashed).fault.message).toMatch(/^stray, thrown at file:.*\/mine\.mjs\S*:1:\d+$/);
  });

  test('without any connector it stays, and takes one that is added', async () => {
    const { folder, file, signals, journal, record } = openedJournal();
    const crashes: unknown[] = [];
    signals.on('relay.crashed', (crash) => crashes.push(crash));
    const delivery = startDelivery(
      { journalFile: file, source: 'urn:tencent-chat:app:1400701118', connectors: {} },
      journal,
      signals,
    );
    await record(1, 1);
    await delivery.exchange({ first: to(join(folder, 'first')) }, [], ['first']);
    await expect.poll(() => readFile(join(folder, 'first'), 'utf8').catch(() => '')).toContain('"name":"1"');
    await delivery.stop(10_000);
    expect(crashes).toEqual([]);
  });
});

test('retention keeps for a connector that is added in the midst of a pass what there still is', async () => {
  const { journal, reader } = openedJournal();
  await Promise.all(Array.from({ length: 1_700 }, (_, n) => journal.record(madeEvent(n + 1))));
  journal.settle({ connector: 'c', upTo: 1_700, waiting: [], dead: [], released: [] });
  await expect.poll(() => reader.cursor('c')).toBe(1_700);
  const connectors = ['c'];
  const clock = {
    now: () => madeEvent(100_000).data.receivedAt,
    // Between the first step and the second.
    sleep: async () => void connectors.push('added'),
  };
  const settings = () => ({ keepDelivered: 1, connectors });
  expect(await prunePass(settings, { journal, reader, clock }, new AbortController().signal)).toBe(500);
  expect(reader.read(0, 1)[0]?.seq).toBe(501);
});
