/** Dead letters are chosen and discarded on the thread that answers callbacks: of very many, a few in each turn. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createOperations } from '../../src/delivery/operations.ts';
import { watchRetries } from '../../src/delivery/retries.ts';
import { openJournal } from '../../src/journal/append.ts';
import { openDatabase } from '../../src/journal/database.ts';
import type { JournalReport } from '../../src/journal/deliveries.ts';
import { createDeliveryReader } from '../../src/journal/reads.ts';
import { causeOf } from '../../src/model/cause.ts';
import { systemClock } from '../../src/model/clock.ts';
import type { Fault } from '../../src/model/fault.ts';
import { createSignals } from '../../src/model/signal.ts';
import { madeEvent } from '../support/events.ts';

const MANY = 6_000;
/** Of a portion its own seqs and, where it is filtered, those that are looked through. */
const AT_MOST = 1_500;
const [ODD, EVEN] = ['odd', 'even'].map((message): Fault => ({ code: 'event-refused', message })) as [Fault, Fault];
const deadLetter = (seq: number) => ({ seq, attempts: 1, fault: seq % 2 === 1 ? ODD : EVEN });

async function manyDeadLetters(connectors: readonly string[] = ['c']) {
  const folder = mkdtempSync(join(tmpdir(), 'dead-'));
  const database = openDatabase(join(folder, 'journal.db'));
  const signals = createSignals();
  const journal = openJournal(database, systemClock, signals);
  onTestFinished(() => {
    journal.close();
    rmSync(folder, { recursive: true });
  });
  const report: JournalReport = { connector: 'c', upTo: MANY, waiting: [], dead: [], released: [] };
  await Promise.all(Array.from({ length: MANY + 1 }, (_, n) => journal.record(madeEvent(n))));
  journal.settle({ ...report, dead: Array.from({ length: MANY }, (_, n) => deadLetter(n + 1)) });
  const reader = createDeliveryReader(database.connection);
  await expect.poll(() => reader.countDeadLetters('c')).toBe(MANY);

  let [turns, most, inTurn, largest] = [0, 0, 0, 0];
  let immediate = setImmediate(function turn() {
    turns++;
    inTurn = 0;
    immediate = setImmediate(turn);
  });
  onTestFinished(() => clearImmediate(immediate));
  const asked: number[] = [];
  const retries = watchRetries();
  const told: number[] = [];
  signals.on('dead-letters.discarded', ({ count }) => told.push(count));
  const operations = createOperations({
    connectors: () => connectors,
    destination: () => ({ holdsGroups: false, readsBack: false }),
    journal: {
      ...journal,
      discard(connector, seqs) {
        largest = Math.max(largest, seqs?.length ?? MANY);
        return journal.discard(connector, seqs);
      },
    },
    deliveries: {
      ...reader,
      deadLetterSeqs(...which) {
        const found = reader.deadLetterSeqs(...which);
        inTurn += found.length;
        most = Math.max(most, inTurn);
        return found;
      },
    },
    groups: { count: () => 0 },
    delivery: { request: (_, request) => request.kind === 'retry' && asked.push(...request.seqs) },
    signals,
    retried: retries.begin,
    replayed() {},
  });
  return {
    operations,
    reader,
    asked,
    told,
    /** One more is refused. */
    refuse: () => journal.settle({ ...report, upTo: MANY + 1, dead: [deadLetter(MANY + 1)] }),
    /** All that are asked for are delivered. */
    deliver: () => retries.settled({ ...report, released: asked.splice(0) }),
    retried: () => retries.of('c'),
    inOneTurn: () => ({ most, largest, turns }),
  };
}

test('all are discarded in small transactions with turns in between, and told as one; what is refused meanwhile stays', async () => {
  const { operations, reader, refuse, told, inOneTurn } = await manyDeadLetters();
  const discarded = operations.discard('c');
  refuse();
  expect(await discarded).toBe(MANY);
  expect(told).toEqual([MANY]);
  await expect.poll(() => reader.deadLetterSeqs('c', 2)).toEqual([MANY + 1]);
  const { most, largest, turns } = inOneTurn();
  expect(largest).toBeLessThanOrEqual(500);
  expect(most).toBeLessThanOrEqual(AT_MOST);
  expect(turns).toBeGreaterThanOrEqual(MANY / 500);
});

test('those of a cause are discarded so, too, and no others', async () => {
  const { operations, reader, inOneTurn } = await manyDeadLetters();
  expect(await operations.discard('c', { cause: causeOf(ODD).id })).toBe(MANY / 2);
  expect(reader.deadLetterCauses('c')).toMatchObject([{ cause: causeOf(EVEN).id, count: MANY / 2 }]);
  const { most, largest } = inOneTurn();
  expect(largest).toBeLessThanOrEqual(500);
  expect(most).toBeLessThanOrEqual(AT_MOST);
});

test('those named are discarded as far as they are there, of the cause, and after a seq', async () => {
  const { operations } = await manyDeadLetters();
  const seqs = Array.from({ length: 1_200 }, (_, n) => n + 5_001);
  expect(await operations.discard('c', { seqs, cause: causeOf(ODD).id, after: 5_002 })).toBe(499);
  expect(await operations.discard('c', { seqs: [1, 1] })).toBe(1);
});

test('those that are tried again are found a few in each turn, and the rest follow', async () => {
  const { operations, asked, deliver, retried, inOneTurn } = await manyDeadLetters();
  expect(await operations.retry('c')).toBe(MANY);
  expect(inOneTurn().most).toBeLessThanOrEqual(AT_MOST);
  expect(asked).toHaveLength(5_000);
  expect(await operations.discard('c', { seqs: [5_001] })).toBe(1);
  deliver();
  expect(asked).toHaveLength(999);
  deliver();
  expect(retried()).toEqual({ taken: MANY - 1, delivered: MANY - 1, refused: 0 });
});

test('those of a connector that is no more are listed and discarded, too: they keep their events in the journal', async () => {
  const { operations, reader } = await manyDeadLetters(['other']);
  expect(reader.leftBehind(['other'])).toEqual([{ connector: 'c', count: MANY }]);
  expect(operations.deadLetters('c', 0, 1)).toMatchObject([{ seq: 1 }]);
  expect(operations.deadLetterCauses('c')).toHaveLength(2);
  expect(operations.deadLetter('c', 1)).toMatchObject({ seq: 1 });
  await expect(operations.retry('c')).rejects.toThrow(/no connector called c runs here/);
  expect(await operations.discard('c')).toBe(MANY);
  expect(reader.leftBehind(['other'])).toEqual([]);
  await expect(operations.discard('c')).rejects.toThrow(/no connector called c runs here/);
});

test('what waits beside very many of them is counted, and the oldest of it found, without looking at them', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dead-'));
  const database = openDatabase(join(folder, 'journal.db'));
  onTestFinished(() => {
    database.close();
    rmSync(folder, { recursive: true });
  });
  const fault = JSON.stringify({ ...ODD, suggestion: 'x'.repeat(600) });
  const put = database.connection.prepare(
    `INSERT INTO deliveries (connector, seq, state, attempts, fault, changed_at, cause) VALUES ('c', ?, 'dead', 1, ?, 1, '')`,
  );
  database.transact(() => {
    for (let seq = 1; seq <= 50_000; seq++) put.run(seq, fault);
  });
  const reader = createDeliveryReader(database.connection);
  const start = performance.now();
  for (let n = 0; n < 20; n++)
    expect([reader.countWaiting('c'), reader.openSince('c', 50_000)]).toEqual([0, undefined]);
  expect(performance.now() - start).toBeLessThan(200);
});
