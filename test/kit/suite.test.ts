/** The suite for connectors: one that keeps its word passes, and one that breaks it fails the case about it. */
import { expect, test } from 'vitest';
import { z } from 'zod';
import {
  type Connector,
  connectorCases,
  type EventSink,
  type Found,
  Interrupted,
  makeEvent,
  type Outcome,
  type Target,
} from '../../src/kit/index.ts';
import { Unreachable } from '../../src/model/fault.ts';

const options = z.strictObject({ place: z.string().describe('Where events are kept.') });
type Options = z.output<typeof options>;

/** What lies at each place; `gone` cannot be had. */
const places = new Map<string, Found[]>();

function openSink({ place }: Options): EventSink {
  const found = places.get(place);
  if (found === undefined) {
    const path = 'connectors.under-test.place';
    throw new Unreachable({ code: 'destination-unreachable', message: 'it is gone', path, suggestion: 'make it' });
  }
  return {
    holds: 'events',
    async deliver(batch, signal) {
      signal.throwIfAborted();
      return new Map(
        batch.map(({ id, event }): [string, Outcome] => {
          const receipt = `${place}#${id}`;
          if (event.data.changed.name === 'refused') {
            const path = 'connectors.under-test.place';
            const fault = { code: 'event-refused', message: 'not this name', path, suggestion: 'mend it' } as const;
            return [id, { kind: 'dead', fault }];
          }
          found.push({ id, groupId: event.data.groupId, changed: event.data.changed, receipt });
          return [id, { kind: 'delivered', receipt }];
        }),
      );
    },
    async close() {},
  };
}

const faithful: Connector<Options> = {
  kind: 'memory',
  summary: 'Keeps events in memory.',
  options,
  readsBack: false,
  holds: () => 'events',
  places: ({ place }) => [{ name: place, option: 'place' }],
  open: async (given) => openSink(given),
  async *examine({ place }) {
    yield { step: 'place', state: 'well', says: place };
  },
};

/** A connector of which `deliver` does something else. */
const delivering = (deliver: (sink: EventSink, ...given: Parameters<EventSink['deliver']>) => unknown) => ({
  open: async (given: Options) => {
    const sink = openSink(given);
    return { ...sink, deliver: (...of: Parameters<EventSink['deliver']>) => deliver(sink, ...of) } as EventSink;
  },
});

/** The names of the cases that a connector fails. */
async function failed(changes: Partial<Connector<Options>>): Promise<string[]> {
  let made = 0;
  const place = async () => {
    const name = `place ${++made}`;
    places.set(name, []);
    return { options: { place: name }, readBack: async () => places.get(name)?.slice() ?? [] };
  };
  const target: Target<Options> = {
    name: 'memory',
    connector: { ...faithful, ...changes },
    keeps: 'every event',
    place,
    unreachable: async () => ({ place: 'gone' }),
    poison: { place, event: (groupId) => makeEvent({ name: 'refused' }, { groupId }), reason: /not this name/ },
  };
  const names: string[] = [];
  for (const { name, run } of connectorCases(target)) await run().catch(() => names.push(name));
  return names;
}

test('a connector that keeps its word passes', async () => {
  expect(await failed({})).toEqual([]);
});

test('so does one that tells each end before its time as Interrupted, also where nothing was settled', async () => {
  const interrupted: Connector<Options>['open'] = async ({ place }) => ({
    holds: 'events',
    deliver: async (...given) => {
      try {
        return await openSink({ place }).deliver(...given);
      } catch (thrown) {
        throw new Interrupted(new Map(), thrown);
      }
    },
    close: async () => {},
  });
  expect(await failed({ open: interrupted })).toEqual([]);
});

const whole = {
  connector: faithful,
  keeps: 'every event',
  place: async () => ({}),
  unreachable: async () => ({}),
  poison: 'it takes any event',
};

test.each<[string, object, string]>([
  ['keeps', { keeps: undefined }, 'keeps: one of "every event", "the latest of a group" is expected'],
  ['poison', { poison: undefined }, 'poison: an event that is refused is expected, or why none is'],
  ['place', { place: undefined }, 'place: a function is expected'],
  ['a connector', { connector: { default: faithful } }, 'connector.kind: it is missing'],
])('a target that lacks %s is told so at once', (_, changes, says) => {
  expect(() => connectorCases({ ...whole, ...changes } as never)).toThrow(says);
});

const defects: Record<string, [changes: Partial<Connector<Options>>, failing: RegExp]> = {
  'loses an event that it calls delivered': [
    delivering(async (sink, batch, signal) => {
      const outcomes = await sink.deliver(batch.slice(1), signal);
      return new Map([
        ...outcomes,
        ...batch.slice(0, 1).map(({ id }) => [id, { kind: 'delivered', receipt: 'here' }] as const),
      ]);
    }),
    /every event is found where its receipt says/,
  ],
  'settles only some': [
    delivering(async (sink, batch, signal) => new Map([...(await sink.deliver(batch, signal))].slice(1))),
    /a batch is settled by id/,
  ],
  'gives a receipt of nothing': [
    delivering(async (sink, batch, signal) => {
      await sink.deliver(batch, signal);
      return new Map(batch.map(({ id }) => [id, { kind: 'delivered', receipt: 'somewhere' }]));
    }),
    /found where its receipt says/,
  ],
  'reverses the order within a group': [
    delivering((sink, batch, signal) => sink.deliver(batch.toReversed(), signal)),
    /of many events of a group, the order is kept/,
  ],
  'goes on when it is told to stop': [
    delivering((sink, batch) => sink.deliver(batch, new AbortController().signal)),
    /an aborted signal is obeyed/,
  ],
  'delivers what the destination refuses': [
    delivering(async (sink, batch, signal) => {
      const outcomes = await sink.deliver(batch, signal);
      return new Map([...outcomes.keys()].map((id) => [id, { kind: 'delivered', receipt: 'here' }]));
    }),
    /a poison event is dead/,
  ],
  'blames a batch for the poison in it': [
    delivering(async (sink, batch, signal) => {
      const outcomes = await sink.deliver(batch, signal);
      const dead = [...outcomes.values()].find(({ kind }) => kind === 'dead');
      return dead === undefined ? outcomes : new Map(batch.map(({ id }) => [id, dead]));
    }),
    /a poison event is dead/,
  ],
  'has faults of codes that nobody knows': [
    delivering(async (_, batch) => {
      const fault = { code: 'out-of-luck', message: 'no' };
      return new Map(batch.map(({ id }) => [id, { kind: 'dead', fault }]));
    }),
    /a batch is settled by id/,
  ],
  'throws what is not Unreachable': [
    { open: async (given) => (places.has(given.place) ? openSink(given) : Promise.reject(new Error('gone'))) },
    /a destination that cannot be had is Unreachable/,
  ],
  'writes while it is checked': [
    {
      async *examine({ place }) {
        places.get(place)?.push({ id: 'test', groupId: 'test', changed: {}, receipt: 'test' });
        yield { step: 'place', state: 'well', says: place };
      },
    },
    /check passes and writes nothing/,
  ],
  'holds something else than it says': [{ holds: () => 'groups' }, /holds and readsBack say what the opened sink is/],
  'needs no option': [
    { options: z.strictObject({ place: z.string().default('here').describe('Where.') }) },
    /there is a required option/,
  ],
  'takes options that it does not know': [
    { options: z.object({ place: z.string().describe('Where.') }) },
    /an option that is not known is refused/,
  ],
  'does not describe its options': [{ options: z.strictObject({ place: z.string() }) }, /each option is described/],
};

test.each(Object.entries(defects))('a connector that %s fails the case about it', async (_, [changes, failing]) => {
  expect((await failed(changes)).join('\n')).toMatch(failing);
});
