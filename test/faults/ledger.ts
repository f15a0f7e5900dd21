/**
 * The client's own list of what it sent and what was answered OK: the only oracle of the fault tests. It knows nothing
 * of the bridge. A group's callbacks are sent strictly one after another with rising EventTimes, so where each group
 * must end is known.
 */
import { body, search } from '../support/callbacks.ts';

export const FIELDS = ['name', 'introduction', 'notification', 'faceUrl'] as const;
export type Field = (typeof FIELDS)[number];

const BODY_KEYS = { name: 'Name', introduction: 'Introduction', notification: 'Notification', faceUrl: 'FaceUrl' };

/** One callback of a group; its place in the group's list is the number that its values carry. */
export interface SentCallback {
  readonly eventTime: number;
  /** The round of faults during which it was sent. */
  readonly round: number;
  /** Without an OK nothing is owed: the event may be there or not. */
  ok: boolean;
}

export interface SentGroup {
  readonly groupId: string;
  readonly sent: SentCallback[];
}

export interface Ledger {
  readonly groups: ReadonlyMap<string, SentGroup>;
  answeredOk: number;
}

export function createLedger(groups: number): Ledger {
  const ids = Array.from({ length: groups }, (_, index) => `@TGS#fault${index}`);
  return { groups: new Map(ids.map((groupId) => [groupId, { groupId, sent: [] }])), answeredOk: 0 };
}

const FIELD_SETS: readonly (readonly [Field, ...Field[]])[] = [
  ['name'],
  ['introduction'],
  ['name', 'notification'],
  ['faceUrl'],
  ['notification', 'introduction'],
];

/** Which fields a group's callback of this number changes. */
export function fieldsOf(number: number): readonly [Field, ...Field[]] {
  return FIELD_SETS[number % FIELD_SETS.length] ?? ['name'];
}

export function changedTo(field: Field, number: number): string {
  return `${field} of the change ${number}`;
}

/** The number of the callback that a value came with. */
export function numberIn(value: unknown): number | undefined {
  const digits = typeof value === 'string' ? / (\d+)$/.exec(value)?.[1] : undefined;
  return digits === undefined ? undefined : Number(digits);
}

export const SEARCH = search();

/** Notes the group's next callback as sent and returns its body. */
export function nextCallback(group: SentGroup, round: number): { sent: SentCallback; body: string } {
  const number = group.sent.length;
  const last = group.sent.at(-1)?.eventTime ?? 0;
  const sent = { eventTime: Math.max(last + 1, Date.now()), round, ok: false };
  group.sent.push(sent);
  const changed = fieldsOf(number).map((field) => [BODY_KEYS[field], changedTo(field, number)]);
  return {
    sent,
    body: body({
      GroupId: group.groupId,
      EventTime: sent.eventTime,
      Name: undefined,
      ...Object.fromEntries(changed),
    }),
  };
}
