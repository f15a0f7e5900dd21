/** Holds a user's connector to the contract: what it returns is checked before anybody relies on it. */
import { z } from 'zod';
import { timerMs } from '../src/model/clock.ts';
import { issuesOf } from '../src/model/complaint.ts';
import type { Entry } from '../src/model/entry.ts';
import { FAULT_CODES, messageOf, Unreachable } from '../src/model/fault.ts';
import { type Group, group } from '../src/model/group.ts';
import { isObject } from '../src/model/json.ts';
import {
  type ConnectorContract,
  type EventSink,
  type GroupSink,
  type Host,
  Interrupted,
  SHAPE_PARTS,
  type Sink,
} from './contract.ts';

const fault = z.object({
  code: z.enum(FAULT_CODES),
  message: z.string(),
  path: z.string().exactOptional(),
  suggestion: z.string().exactOptional(),
});
const receipt = z.string();
const outcomes = z.map(
  z.string(),
  z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('delivered'), receipt }),
    z.object({ kind: z.literal('superseded'), receipt }),
    z.object({ kind: z.literal('retry'), fault, afterMs: z.number().nonnegative().transform(timerMs).exactOptional() }),
    z.object({ kind: z.literal('dead'), fault }),
  ]),
);
const copies = z.map(
  z.string(),
  z.object({
    status: z.enum(['in-step', 'differs', 'missing']),
    where: z.string(),
    differs: z.array(z.string()).exactOptional(),
  }),
);
const found = z.map(z.string(), z.string());
const heldGroup = z.tuple([z.string(), group.nullable()]);
const identified = z.object({
  identity: z.string(),
  lost: z.string().exactOptional(),
  moved: z.boolean().exactOptional(),
  unasked: z.string().exactOptional(),
});
const finding = z.object({
  step: z.string(),
  state: z.enum(['well', 'note', 'wrong']),
  says: z.string(),
  fault: fault.exactOptional(),
});
const generator = z.custom<AsyncIterable<unknown>>((given) => isObject(given) && Symbol.asyncIterator in given, {
  error: 'an async generator is expected',
});

const holds = z.enum(['events', 'groups']);
const text = z.string();
const places = z.array(z.object({ name: text, template: z.boolean().optional(), option: text, use: text.optional() }));
const shapeProblems = z.array(z.object({ path: z.array(z.union([z.string(), z.number()])), message: z.string() }));

export const isFunction = z.custom<(...given: never[]) => unknown>((given) => typeof given === 'function', {
  error: 'a function is expected',
});
const maybe = isFunction.exactOptional();
const common = { identify: maybe, close: isFunction };
const sink = z.discriminatedUnion('holds', [
  z.looseObject({ holds: z.literal('events'), deliver: isFunction, find: maybe, ...common }),
  z.looseObject({ holds: z.literal('groups'), put: isFunction, read: maybe, follow: maybe, scan: maybe, ...common }),
]);

const facts = z.object({
  kind: z.string().min(1),
  summary: z.string().min(1),
  maxWaitMs: z.int().min(0).max(60_000).exactOptional(),
  maxEvents: z.int().min(1).max(100_000).exactOptional(),
  readsBack: z.boolean(),
  verifiable: z.boolean().exactOptional(),
  shapes: z.array(z.enum(SHAPE_PARTS)).exactOptional(),
});

/** What can be checked of a default export before it is used. */
export const contract = facts.extend({
  shapeProblems: maybe,
  holds: isFunction,
  places: isFunction,
  open: isFunction,
  examine: isFunction,
});

/** A module may wait forever: its connector delivers nothing until it has opened. */
const SLOW_MS = 60_000;
const OPENS =
  'its module has not opened it for a minute: open should throw Unreachable if the destination is unavailable';

/** Wraps a connector: where it breaks the contract it throws Unreachable, so that its lane waits. */
export function guarded<Options>(connector: ConnectorContract<Options>): ConnectorContract<Options> {
  const { options, readsBack } = connector;
  return {
    ...facts.parse(connector),
    options,
    shapeProblems(given, shape) {
      try {
        return told(shapeProblems, connector.shapeProblems?.(given, shape) ?? [], 'shapeProblems');
      } catch (thrown) {
        return [{ path: [], message: `the module of this kind fails on this shape: ${messageOf(thrown)}` }];
      }
    },
    holds: (given) => told(holds, connector.holds(given), 'holds'),
    places(...given) {
      const named = connector.places(...given);
      told(places, named, 'places');
      return [...named];
    },
    async open(given, host, signal) {
      const slow = setInterval(() => host.note(OPENS), SLOW_MS).unref();
      const opened = await ours(() => connector.open(given, host, signal)).finally(() => clearInterval(slow));
      checked('open', sink, host, opened);
      const lacksRead = opened.holds === 'groups' && readsBack && opened.read === undefined;
      if (opened.holds !== connector.holds(given) || lacksRead) {
        throw broken('open returned a sink that does not match `holds` and `readsBack`', host);
      }
      return opened.holds === 'events' ? guardedEvents(opened, host) : guardedGroups(opened, host);
    },
    async *examine(given, host, signal) {
      const examined: unknown = connector.examine(given, host, signal);
      // A rejection that nobody takes would end the process.
      if (examined instanceof Promise) examined.catch(() => {});
      const findings = checked('examine', generator, host, examined)[Symbol.asyncIterator]();
      try {
        for (;;) {
          const { done, value } = await ours(() => findings.next());
          if (done) return;
          yield checked('examine', finding, host, value);
        }
      } finally {
        await findings.return?.();
      }
    },
  };
}

function guardedEvents(opened: EventSink, host: Host): EventSink {
  const { find } = opened;
  return {
    holds: 'events',
    deliver: (batch, signal) => asked('deliver', outcomes, host, () => opened.deliver(batch.map(lent), signal)),
    ...(find && { find: (...given) => asked('find', found, host, () => find.call(opened, ...given)) }),
    ...guardedBoth(opened, host),
  };
}

/** Keeps changes that a module makes to an entry from the event, which may come again, or become a dead letter. */
function lent(entry: Entry): Entry {
  const { seq, id, groupId, receivedAt } = entry;
  let event: Entry['event'] | undefined;
  return {
    ...{ seq, id, groupId, receivedAt },
    get text() {
      return entry.text;
    },
    get event() {
      event ??= structuredClone(entry.event);
      return event;
    },
  };
}

function guardedGroups(opened: GroupSink, host: Host): GroupSink {
  const { read, follow, scan } = opened;
  return {
    holds: 'groups',
    put: (states, ...given) => asked('put', outcomes, host, () => opened.put(structuredClone(states), ...given)),
    ...(read && {
      read: (states, signal) => asked('read', copies, host, () => read.call(opened, structuredClone(states), signal)),
    }),
    ...(follow && { follow: (take, signal) => ours(() => follow.call(opened, taking('follow', host, take), signal)) }),
    ...(scan && { scan: (take, signal) => ours(() => scan.call(opened, taking('scan', host, take), signal)) }),
    ...guardedBoth(opened, host),
  };
}

/** Checks what a module passes on one by one. */
const taking =
  (from: string, host: Host, take: (groupId: string, state: Group | null) => void): typeof take =>
  (...given) =>
    take(...checked(from, heldGroup, host, given));

function guardedBoth(opened: Sink, host: Host): Pick<Sink, 'identify' | 'close'> {
  const { identify } = opened;
  return {
    ...(identify && {
      identify: (...given) => asked('identify', identified, host, () => identify.call(opened, ...given)),
    }),
    close: () => ours(() => opened.close()),
  };
}

/** Converts errors of another copy of this package into ours, and lets through only what the bridge can handle. */
async function ours<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throw carried(thrown);
  }
}

function carried(thrown: unknown): unknown {
  if (!(thrown instanceof Error)) return thrown;
  const { fault: given, afterMs, settled } = thrown as Error & Partial<Unreachable & Interrupted>;
  if (thrown.name === 'Interrupted') {
    const parsed = outcomes.safeParse(settled);
    const cause = carried(thrown.cause ?? new Error(thrown.message));
    // Where nothing was settled the destination was not reached.
    return parsed.success && parsed.data.size > 0 ? new Interrupted(parsed.data, cause) : cause;
  }
  if (thrown.name !== 'Unreachable') return thrown;
  const parsed = fault.safeParse(given);
  if (parsed.success) return new Unreachable(parsed.data, thrown, timerMs(Math.max(0, Number(afterMs) || 0)));
  return new Error(`Unreachable was thrown with an invalid fault: ${issuesOf(parsed.error)}`);
}

async function asked<Value>(from: string, schema: z.ZodType<Value>, host: Host, work: () => Promise<Value>) {
  return checked(from, schema, host, await ours(work));
}

function checked<Value>(from: string, schema: z.ZodType<Value>, host: Host, given: unknown): Value {
  try {
    return told(schema, given, from);
  } catch (thrown) {
    throw broken(messageOf(thrown), host);
  }
}

function told<Value>(schema: z.ZodType<Value>, given: unknown, from: string): Value {
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  // What is wrong with one outcome may be wrong with all of a batch.
  const issues = parsed.error.issues.slice(0, 1);
  throw new TypeError(`${from} returned an invalid value: ${issuesOf({ issues })}`);
}

const broken = (what: string, host: Host): Unreachable =>
  trouble(`breaks its contract: ${what}`, host, 'run it through the suite of group-sync-bridge/connector');

const trouble = (what: string, { name }: Host, suggestion: string): Unreachable =>
  new Unreachable({
    code: 'destination-misconfigured',
    message: `The connector’s module ${what}`,
    path: `connectors.${name}.kind`,
    suggestion,
  });

/** Replaces a connector that was loaded once but cannot be now: its lane waits. */
export function unusable(kind: string, thrown: unknown): ConnectorContract<unknown> {
  const options = z.looseObject({});
  const gone = (host: Host): Unreachable =>
    trouble(`cannot be loaded: ${messageOf(thrown)}`, host, 'run check, then restart the bridge');
  return {
    ...{ kind, summary: '', options, readsBack: false, holds: () => 'events', places: () => [] },
    open: async (_, host) => Promise.reject(gone(host)),
    // biome-ignore lint/correctness/useYield: there is nothing to find
    async *examine(_, host) {
      throw gone(host);
    },
  };
}
