import { expect, test } from 'vitest';
import { isAskedFor, settleDelivery, triedAgain } from '../../src/delivery/attempt.ts';
import { watchReplays, watchRetries } from '../../src/delivery/retries.ts';
import { createWaitingEntries } from '../../src/delivery/waiting.ts';
import { entryOf } from '../../src/model/entry.ts';
import { madeEvent } from '../support/events.ts';

test('what a replay brings anew is not awaited as a retry any more', () => {
  const retries = watchRetries();
  const report = { connector: 'a', upTo: 9, waiting: [], dead: [], released: [] };
  retries.begin('a', [1, 5]);
  retries.settled({ ...report, released: [1] });
  retries.settled({ ...report, upTo: 3, rewind: true });
  expect(retries.of('a')).toEqual({ taken: 1, delivered: 1, refused: 0 });
  retries.begin('a', [7]);
  retries.settled({ ...report, dead: [{ seq: 7, attempts: 1, fault: { code: 'event-refused', message: '' } }] });
  expect(retries.of('a')).toEqual({ taken: 1, delivered: 0, refused: 1 });
});

test('those that are left over follow when the ones before are settled, in one count', () => {
  const retries = watchRetries();
  const report = { connector: 'a', upTo: 9, waiting: [], dead: [], released: [] };
  const begun: number[] = [];
  const begin = (seq: number): void => {
    begun.push(seq);
    retries.begin('a', [seq], seq < 3 ? () => begin(seq + 1) : undefined);
  };
  begin(1);
  retries.settled({ ...report, released: [7] });
  expect(begun).toEqual([1]);
  for (const seq of [1, 2]) retries.settled({ ...report, released: [seq] });
  expect(begun).toEqual([1, 2, 3]);
  expect(retries.of('a')).toEqual({ taken: 3, delivered: 2, refused: 0 });
  retries.settled({ ...report, released: [3] });
  expect(retries.of('a')).toEqual({ taken: 3, delivered: 3, refused: 0 });
});

test('those that are left over of one retry follow, also where another began meanwhile', () => {
  const retries = watchRetries();
  const report = { connector: 'a', upTo: 9, waiting: [], dead: [], released: [] };
  retries.begin('a', [1], () => retries.begin('a', [2]));
  retries.begin('a', [11], () => retries.begin('a', [12]));
  retries.settled({ ...report, released: [1, 11] });
  retries.settled({ ...report, released: [2] });
  retries.settled({ ...report, released: [12] });
  expect(retries.of('a')).toEqual({ taken: 4, delivered: 4, refused: 0 });
});

test('a retry that a person asked for stays one when it fails for another reason first', () => {
  const entry = entryOf(1, madeEvent(1));
  const queue = createWaitingEntries();
  const asked = triedAgain(entry, 0);
  queue.hold(asked);
  const outcomes = new Map([
    [entry.id, { kind: 'retry', fault: { code: 'destination-overloaded', message: '' } }],
  ] as const);
  const retry = { initialMs: 1, maxMs: 1 };
  settleDelivery({ retried: [asked], taken: [], wanted: new Set(), outcomes }, queue, {
    now: 0,
    retry,
    random: () => 1,
  });
  expect(queue.all().map(isAskedFor)).toEqual([true]);
});

test('what waits for an earlier event of its group, tried with it and failed again, is charged nothing', () => {
  const queue = createWaitingEntries();
  const retried = [1, 2].map((seq) => triedAgain(entryOf(seq, madeEvent(seq, {}, 'g')), 0));
  const others = [3, 4].map((seq) => triedAgain(entryOf(seq, madeEvent(seq, {}, 'h')), 0));
  for (const one of [...retried, ...others]) queue.hold(one);
  const fault = { code: 'destination-overloaded', message: 'busy' } as const;
  // A sink sends the next of a group when the one before is settled. It forgot the first of `h`.
  const outcomes = new Map([[retried[0]?.entry.id ?? '', { kind: 'retry', fault }]] as const);
  const delivery = { retried: [...retried, ...others], taken: [], wanted: new Set<never>(), outcomes };
  const settings = { now: 0, retry: { initialMs: 1, maxMs: 1 }, random: () => 1 };
  const { failed } = settleDelivery(delivery, queue, settings);
  expect(failed.map(({ waiting }) => [waiting.entry.seq, waiting.fault.code])).toEqual([
    [1, 'destination-overloaded'],
    [3, 'event-unsettled'],
  ]);
  expect(queue.all().map(({ attempts }) => attempts)).toEqual([1, 0, 1, 0]);
});

test('what was not sent, since an earlier event of its group waited that is delivered now, is charged nothing', () => {
  const queue = createWaitingEntries();
  const before = triedAgain(entryOf(1, madeEvent(1, {}, 'g')), 0);
  queue.hold(before);
  const taken = [2, 3].map((seq) => entryOf(seq, madeEvent(seq, {}, 'g')));
  const outcomes = new Map([[before.entry.id, { kind: 'delivered', receipt: '' }]] as const);
  const delivery = { retried: [before], taken, wanted: new Set(taken), outcomes };
  const settings = { now: 7, retry: { initialMs: 1_000, maxMs: 1_000 }, random: () => 1 };
  expect(settleDelivery(delivery, queue, settings).failed).toEqual([]);
  expect(queue.all().map(({ entry, attempts, dueAt }) => [entry.seq, attempts, dueAt])).toEqual([
    [2, 0, 7],
    [3, 0, 7],
  ]);
});

test('a replay tells those refused and those that wait, of its own events alone', () => {
  const replays = watchReplays();
  const report = { connector: 'a', upTo: 9, waiting: [], dead: [], released: [] };
  const refused = (seq: number) => ({ seq, attempts: 1, fault: { code: 'event-refused', message: '' } as const });
  const waits = (seq: number) => ({ ...refused(seq), dueAt: 0 });
  replays.begin('a', 3, 4);
  // What was refused on the way here comes again.
  replays.settled({ ...report, dead: [refused(4)] });
  replays.settled({ ...report, upTo: 2, rewind: true });
  replays.settled({ ...report, dead: [refused(3), refused(7)], waiting: [waits(5), waits(6)] });
  expect(replays.of('a')).toEqual({ from: 3, events: 4, refused: 1, waiting: 2 });
  replays.settled({ ...report, dead: [refused(5)], released: [6] });
  expect(replays.of('a')).toEqual({ from: 3, events: 4, refused: 2, waiting: 0 });
  expect(replays.of('b')).toBeUndefined();
});
