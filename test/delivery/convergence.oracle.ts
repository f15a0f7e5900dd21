/**
 * Histories of callbacks, and what the groups must be in the end. It works from the callbacks alone and shares nothing with
 * src/model/group.ts: it puts them in order and lets each overwrite.
 */
import { createHash } from 'node:crypto';
import { sourceOf } from '../../src/model/event.ts';
import { COMMAND, SDK_APP_ID } from '../support/callbacks.ts';

export interface Sent {
  readonly command: string;
  readonly body: Record<string, unknown> & { readonly GroupId: string; readonly EventTime: number };
}

/** Reproducible: a number in [0, 1) from a seed and a place. */
export function chance(seed: string, ...place: readonly (string | number)[]): number {
  return (
    createHash('sha256')
      .update(JSON.stringify([seed, ...place]))
      .digest()
      .readUInt32BE() /
    2 ** 32
  );
}

export const COMMANDS = {
  created: 'Group.CallbackAfterCreateGroup',
  destroyed: 'Group.CallbackAfterGroupDestroyed',
  owner: 'Group.CallbackAfterChangeGroupOwner',
};

/** A history of distinct moments per group, so that EventTime alone orders it: ties are the business of group.test.ts. */
export function history(seed: string, events: number, groups: number): Sent[] {
  const start = Date.now() - 3_600_000;
  return Array.from({ length: events }, (_, n) => {
    const GroupId = `@TGS#${Math.floor(chance(seed, n, 'group') * groups)}`;
    const common = { GroupId, EventTime: start + n, Type: chance(seed, n, 'type') < 0.5 ? 'Public' : 'Community' };
    const Operator_Account = `operator ${n % 7}`;
    const kind = chance(seed, n, 'kind');
    if (kind < 0.03) {
      return sent(COMMANDS.created, {
        ...common,
        Operator_Account,
        Owner_Account: `owner ${n % 5}`,
        Name: `created ${n}`,
        MemberList: [],
      });
    }
    if (kind < 0.06) return sent(COMMANDS.destroyed, { ...common, Owner_Account: 'whoever', Name: 'as it was' });
    if (kind < 0.1)
      return sent(COMMANDS.owner, {
        ...common,
        Operator_Account,
        OldOwner_Account: 'x',
        NewOwner_Account: `owner ${n}`,
      });
    const value = (field: string): string => (chance(seed, n, field, 'cleared') < 0.2 ? '' : `${field} ${n}`);
    const fields = ['Name', 'Introduction', 'Notification', 'FaceUrl'].filter((field) => chance(seed, n, field) < 0.4);
    const custom =
      chance(seed, n, 'custom') < 0.2 ? { UserDefinedDataList: [{ Key: `k${n % 3}`, Value: value('custom') }] } : {};
    return sent(COMMAND, {
      ...common,
      Operator_Account,
      ...Object.fromEntries(fields.map((field) => [field, value(field)])),
      ...custom,
    });
  });
}

export function sent(command: string, body: Sent['body']): Sent {
  return { command, body: { CallbackCommand: command, ...body } };
}

/** What each group must be in the end, without `versions`. */
export function oracle(all: readonly Sent[]): Map<string, Record<string, unknown>> {
  const groups = new Map<string, Record<string, unknown>>();
  for (const { command, body } of [...all].sort((a, b) => a.body.EventTime - b.body.EventTime)) {
    const before = command === COMMANDS.created ? undefined : groups.get(body.GroupId);
    const group: Record<string, unknown> = {
      ...(before ?? { groupId: body.GroupId, source: sourceOf(SDK_APP_ID), customFields: {}, destroyed: false }),
    };
    group.groupType = body.Type;
    group.updatedAt = new Date(body.EventTime).toISOString();
    if (body.Operator_Account !== undefined) group.lastOperator = body.Operator_Account;
    if (command === COMMANDS.destroyed) group.destroyed = true;
    if (command === COMMANDS.created) Object.assign(group, { name: body.Name, owner: body.Owner_Account });
    if (command === COMMANDS.owner) group.owner = body.NewOwner_Account;
    if (command === COMMAND) {
      for (const [from, to] of [
        ['Name', 'name'],
        ['Introduction', 'introduction'],
        ['Notification', 'notification'],
        ['FaceUrl', 'faceUrl'],
      ] as const) {
        if (body[from] !== undefined) group[to] = body[from];
      }
      const list = (body.UserDefinedDataList ?? []) as { Key: string; Value: string }[];
      group.customFields = {
        ...(group.customFields as object),
        ...Object.fromEntries(list.map(({ Key, Value }) => [Key, Value])),
      };
    }
    groups.set(body.GroupId, group);
  }
  return groups;
}

/** 20 % of them a second time, all in any order. */
export function disturbed(seed: string, all: readonly Sent[]): Sent[] {
  const again = all.filter((_, n) => chance(seed, n, 'again') < 0.2);
  return [...all, ...again]
    .map((one, n) => ({ one, place: chance(seed, n, 'shuffle') }))
    .sort((a, b) => a.place - b.place)
    .map(({ one }) => one);
}
