/** What a connector of one's own may do to the bridge, whatever it gives, throws or does to what it is given. */
import { expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import {
  type ConnectorContract,
  type EventSink,
  type GroupSink,
  Interrupted,
  type Outcomes,
  type Sink,
} from '../../connectors/contract.ts';
import { guarded } from '../../connectors/guard.ts';
import { entryOf } from '../../src/model/entry.ts';
import { faultOf, messageOf, Unreachable } from '../../src/model/fault.ts';
import { merge, newGroup } from '../../src/model/group.ts';
import { makeEvent, never, testHost } from './suite.ts';

const close = async () => {};

const mine = (sink: Sink | Promise<Sink>): ConnectorContract<unknown> => ({
  ...{ kind: 'mine', summary: 'mine', options: z.strictObject({}), readsBack: false },
  holds: () => ('holds' in sink ? sink.holds : 'events'),
  places: () => [],
  open: async () => sink,
  async *examine() {},
});

const openGuarded = (sink: Sink | Promise<Sink>, host = testHost()): Promise<Sink> =>
  guarded(mine(sink)).open({}, host, never());

const fault = { code: 'destination-unreachable', message: 'down' };

test.each<[string, unknown, unknown?]>([
  ['a text', 'it is down'],
  ['nothing', undefined],
  ['a code that there is not', { ...fault, code: 'down' }],
  ['an error for its message', { ...fault, message: new Error('down') }],
  ['what no thread can be given', { ...fault, retry: () => {} }],
  ['a time that is none', fault, Number('Wed, 21 Oct 2026 07:28:00 GMT')],
  ['a time before now', fault, -5],
  ['a time that never comes', fault, Number.POSITIVE_INFINITY],
])('an Unreachable of %s has its lane wait as any other', async (_, given, afterMs) => {
  const deliver = () => Promise.reject(new Unreachable(given as never, undefined, afterMs as number));
  const sink = (await openGuarded({ holds: 'events', deliver, close })) as EventSink;
  const thrown = await sink.deliver([], never()).catch((reason: unknown) => reason);
  const told = faultOf(thrown, 'destination-unreachable');
  expect(structuredClone(told)).toEqual({ code: 'destination-unreachable', message: expect.stringMatching(/\w/) });
  const { afterMs: rest = 0 } = thrown as Partial<Unreachable>;
  expect(new Date(Date.now() + rest).getTime()).toBeGreaterThan(Date.now() - 1_000);
  expect(rest).toBeGreaterThanOrEqual(0);
});

test('what is wrong with each outcome of a batch is told of one', async () => {
  const outcome = { kind: 'dead', fault: { ...fault, code: 'out-of-luck' } };
  const deliver = async () => new Map(Array.from({ length: 500 }, (_, n) => [`event ${n}`, outcome]));
  const sink = (await openGuarded({ holds: 'events', deliver, close } as unknown as EventSink)) as EventSink;
  const thrown = await sink.deliver([], never()).catch((reason: unknown) => reason);
  expect(messageOf(thrown)).toMatch(/deliver gave what it may not: event 0\.fault\.code: one of .* is expected$/);
  expect(messageOf(thrown)).not.toMatch(/event 1/);
});

test.each<[string, () => unknown]>([
  ['a promise', async () => []],
  ['a promise that is not kept', () => Promise.reject(new Error('down'))],
  ['a list', () => []],
  ['nothing', () => {}],
])('an examine that returns %s is told what is expected', async (_, examine) => {
  const connector = { ...mine({ holds: 'events', deliver: async () => new Map(), close }), examine };
  const findings = guarded(connector as ConnectorContract<unknown>).examine({}, testHost(), never());
  const thrown = await findings[Symbol.asyncIterator]()
    .next()
    .catch((reason: unknown) => reason);
  expect(faultOf(thrown, 'internal')).toMatchObject({
    code: 'destination-misconfigured',
    message: expect.stringMatching(/examine gave what it may not: an async generator is expected/),
  });
});

test('places that are no list are told as that', () => {
  const places = () => ({ name: 'here', option: 'path' });
  const connector = { ...mine({ holds: 'events', deliver: async () => new Map(), close }), places };
  expect(() => guarded(connector as unknown as ConnectorContract<unknown>).places({})).toThrow(
    'places gave what it may not: a list is expected, not an object',
  );
});

const endless = new Error('again');
endless.cause = endless;
test.each([
  ['an object without a prototype', Object.create(null)],
  ['an object with a toString of its own', { toString: 'text' }],
  ['an error that is its own cause', endless],
  ['an error whose message is none', Object.assign(new Error(), { message: { a: 1 } })],
])('%s has a text, whoever threw it', (_, thrown) => {
  expect(messageOf(thrown)).toEqual(expect.stringMatching(/\w/));
});

test('one that does not open says so each minute, until it has', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
  const notes: string[] = [];
  const opening = Promise.withResolvers<Sink>();
  const opened = openGuarded(opening.promise, { ...testHost(), note: (message) => void notes.push(message) });
  await vi.advanceTimersByTimeAsync(130_000);
  expect(notes).toEqual(Array(2).fill(expect.stringContaining('has not opened it')));
  opening.resolve({ holds: 'events', deliver: async () => new Map(), close });
  await opened;
  await vi.advanceTimersByTimeAsync(130_000);
  expect(notes).toHaveLength(2);
});

test('an Interrupted that says nothing of its cause says that the delivery ended early', async () => {
  const settled: Outcomes = new Map([['before it', { kind: 'delivered', receipt: 'here' }]]);
  const deliver = () => Promise.reject(new Interrupted(settled, undefined));
  const sink = (await openGuarded({ holds: 'events', deliver, close })) as EventSink;
  const thrown = await sink.deliver([], never()).catch((reason: unknown) => reason);
  expect(messageOf((thrown as Interrupted).cause)).toBe('the delivery ended early');
});

test.each<[string, unknown, unknown]>([
  ['no id', undefined, null],
  ['a state without versions', 'g', { groupId: 'g', name: 'x' }],
  ['nothing for a state', 'g', undefined],
])('what it gives of the groups that lie there is held to the contract: %s', async (_, groupId, state) => {
  const give = async (take: (groupId: never, state: never) => void) => take(groupId as never, state as never);
  const sink = await openGuarded({
    holds: 'groups',
    put: async () => new Map(),
    scan: give,
    follow: give,
    close,
  } as Sink);
  for (const from of ['scan', 'follow'] as const) {
    const taken: unknown[] = [];
    const thrown = await (sink as GroupSink)
      [from]?.((...given) => taken.push(given), never())
      .catch((reason: unknown) => reason);
    expect(taken).toEqual([]);
    expect(faultOf(thrown, 'internal')).toMatchObject({
      code: 'destination-misconfigured',
      message: expect.stringMatching(`${from} gave what it may not`),
    });
  }
});

test('what it does to its entries and groups stays with it', async () => {
  const event = makeEvent({ name: 'right' });
  const entry = entryOf(1, event);
  const deliver = async (batch: (typeof entry)[]) => {
    for (const one of batch.splice(0)) {
      Object.assign(one, { id: 'other' });
      Object.assign(one.event.data.changed, { name: 'wrong' });
    }
    return new Map();
  };
  const events = (await openGuarded({ holds: 'events', deliver, close } as unknown as EventSink)) as EventSink;
  const batch = [entry];
  await events.deliver(batch, never());
  expect(batch).toEqual([entry]);
  expect([entry.id, entry.event.data.changed.name, JSON.parse(entry.text)]).toEqual([event.id, 'right', event]);

  const state = merge(newGroup(event.subject), event);
  const kept = structuredClone(state);
  const spoil = async ([group]: unknown[]) => {
    Object.assign(group as object, { name: 'wrong', versions: undefined });
    return new Map();
  };
  const groups = (await openGuarded({ holds: 'groups', put: spoil, read: spoil, close } as Sink)) as GroupSink;
  await groups.put([state], 'join', never());
  await groups.read?.([state], never());
  expect(state).toEqual(kept);
});
