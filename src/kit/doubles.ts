/** The suite's stand-ins for the bridge: a host that remembers its notes, events, and the path to a sink. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { ConnectorContract, Host, Outcomes } from '../../connectors/contract.ts';
import { deliver } from '../delivery/deliver.ts';
import { compileFilter, type FilterSettings } from '../delivery/filter.ts';
import { systemClock } from '../model/clock.ts';
import { entryOf } from '../model/entry.ts';
import {
  type CanonicalEvent,
  type ChangedFields,
  type EventId,
  groupEvent,
  PROFILE_FIELDS,
  sourceOf,
} from '../model/event.ts';
import { type Fault, Unreachable } from '../model/fault.ts';
import { type Group, merge, newGroup } from '../model/group.ts';
import type { Outcome } from '../model/outcome.ts';
import type { Case, Found, Place, Target } from './target.ts';

const HOST_NAME = 'under-test';

export function testHost(): Host & { readonly notes: string[] } {
  const notes: string[] = [];
  const note = (message: string) => void notes.push(message);
  return { name: HOST_NAME, clock: systemClock, source: sourceOf('1400701118'), notes, note, created: note };
}

/** Parses options as the bridge would; throws if the connector's schema refuses them. */
export function optionsOf<Options>({ options }: ConnectorContract<Options>, given: unknown): Options {
  const parsed = options.safeParse(given);
  if (parsed.success) return parsed.data;
  assert.fail(`the options are refused: ${parsed.error.issues.map(({ message }) => message).join(', ')}`);
}

export type Driven = Awaited<ReturnType<typeof openDriven>>;

export interface DrivenSettings {
  /** The merged state of a group; by default it is merged from the delivered events. */
  group?(groupId: string): Group | undefined;
  readonly filter?: FilterSettings;
}

/** Opens a sink that is driven as by the bridge: events go in, outcomes by event id come out. */
export async function openDriven<Options>(
  connector: ConnectorContract<Options>,
  options: Options,
  host: Host,
  { group, filter = {} }: DrivenSettings = {},
) {
  const sink = await connector.open(options, host, never());
  const known = new Map<string, Group>();
  const whole = sink.holds === 'groups' && sink.follow !== undefined;
  return {
    sink,
    deliver(batch: readonly CanonicalEvent[], signal: AbortSignal): Promise<Outcomes> {
      if (whole)
        for (const event of batch)
          known.set(event.subject, merge(known.get(event.subject) ?? newGroup(event.subject), event));
      const groups = { get: group ?? ((groupId: string) => known.get(groupId)) };
      const entries = batch.map((event, index) => entryOf(index, event));
      return deliver(sink, entries, groups, compileFilter(filter), signal);
    },
    /** Examines the destination as `check --connect` does, and throws the first fault. */
    async check(signal: AbortSignal): Promise<void> {
      signal.throwIfAborted();
      for await (const { state, fault } of connector.examine(options, host, signal)) {
        if (state === 'wrong' && fault !== undefined) throw new Unreachable(fault);
      }
    },
    close: () => sink.close(),
  };
}

let lastMoment = 1_670_574_414_123;

/** Returns an event later than all earlier ones, in a new group unless one is named. Ids are random. */
export function makeEvent(
  changed: ChangedFields,
  given: { groupId?: string; id?: string; at?: number } = {},
): CanonicalEvent {
  const occurredAt = given.at ?? ++lastMoment;
  return groupEvent('chat.group.info.changed', '1400701118', given.id ?? randomUUID(), {
    groupId: given.groupId ?? `@TGS#${randomUUID()}`,
    groupType: 'Public',
    operator: 'leckie',
    changed,
    occurredAt,
    occurredAtFrom: 'callback',
    receivedAt: occurredAt + 222,
    origin: { platform: 'RESTAPI', clientIp: '113.118.225.178', requestId: 'request' },
    extra: { Unknown: [1, { deep: null }] },
  });
}

export const never = (): AbortSignal => new AbortController().signal;

/** Runs `work` with an opened sink, then closes it and disposes of the place, whatever happens. */
export async function withSink<Options, T>(
  connector: ConnectorContract<Options>,
  place: Partial<Place> & Pick<Place, 'options'>,
  work: (sink: Driven, host: ReturnType<typeof testHost>) => Promise<T>,
  settings: DrivenSettings = {},
): Promise<T> {
  const host = testHost();
  try {
    const sink = await openDriven(connector, optionsOf(connector, place.options), host, settings);
    try {
      return await work(sink, host);
    } finally {
      await sink.close();
    }
  } finally {
    await place.dispose?.();
  }
}

/** Runs `work` with a sink at a new place. */
export async function atNewPlace<Options>(
  { connector, place: newPlace }: Pick<Target<Options>, 'connector' | 'place'>,
  work: (sink: Driven, place: Place) => Promise<void>,
): Promise<void> {
  const place = await newPlace();
  await withSink(connector, place, (sink) => work(sink, place));
}

/** Returns a function that makes cases, each running at a new place. */
export const casesAt =
  <Options>(target: Pick<Target<Options>, 'connector' | 'place'>) =>
  (name: string, work: (sink: Driven, place: Place) => Promise<void>): Case => ({
    name,
    run: () => atNewPlace(target, work),
  });

/** Asserts that a fault names a setting of this connector and something to do. */
export function expectUsable(fault: Fault): void {
  assert.match(fault.path ?? '', new RegExp(`^connectors\\.${HOST_NAME}\\.\\w`), 'the path names a setting');
  assert.match(fault.suggestion ?? '', /\w{3}/, 'the suggestion says something');
}

/** Returns the fault of the Unreachable that `work` must throw. */
export async function unreachableBy(work: () => Promise<unknown>): Promise<Fault> {
  const thrown = await work().then(
    (value) => assert.fail(`it went through: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (!(thrown instanceof Unreachable)) throw thrown;
  expectUsable(thrown.fault);
  return thrown.fault;
}

/** Returns the events whose versions a group holds, each with the values that it set. */
export function foundInGroup(group: Group, receipt: string): Found[] {
  const ids = new Set(Object.values(group.versions).map(([, id]) => id));
  return Array.from(ids, (id) => {
    const set = (field: string) => group.versions[field]?.[1] === id;
    const fields = PROFILE_FIELDS.filter(set).map((field) => [field, group[field]]);
    const custom = Object.entries(group.customFields).filter(([key]) => set(`customFields.${key}`));
    const changed = {
      ...Object.fromEntries(fields),
      ...(custom.length > 0 && { customFields: Object.fromEntries(custom) }),
    };
    return { id, groupId: group.groupId, changed, receipt };
  });
}

/** Asserts that each event is settled as one of `allowed`, and found with its values where its receipt says. */
export function expectFound(
  batch: readonly CanonicalEvent[],
  outcomes: ReadonlyMap<EventId, Outcome>,
  found: readonly Found[],
  allowed: readonly Outcome['kind'][] = ['delivered'],
): void {
  assert.deepEqual([...outcomes.keys()].sort(), batch.map((event) => event.id).sort());
  for (const event of batch) {
    const outcome = outcomes.get(event.id);
    assert.ok(
      allowed.some((kind) => kind === outcome?.kind),
      `${allowed.join(' or ')}: ${JSON.stringify(outcome)}`,
    );
    const copies = found.filter((copy) => copy.id === event.id);
    const receipt = outcome !== undefined && 'receipt' in outcome ? outcome.receipt : undefined;
    const receipts = copies.map((copy) => copy.receipt);
    assert.ok(
      receipts.some((one) => one === receipt),
      `found at ${receipts.join(', ')}, and the receipt says ${receipt}`,
    );
    for (const copy of copies) {
      assert.equal(copy.groupId, event.data.groupId);
      assert.deepEqual(entriesOf(copy.changed), entriesOf(event.data.changed));
    }
  }
}

/** Returns entries, because comparing objects would overlook a `__proto__` key. */
function entriesOf(changed: ChangedFields): unknown {
  const { customFields, ...fields } = changed;
  return [Object.entries(fields).sort(), customFields && Object.entries(customFields).sort()];
}
