import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../model/clock.ts';
import type { Fault } from '../model/fault.ts';
import type { Committer } from './commit.ts';
import type { Database } from './database.ts';
import type { GroupBuffer } from './groups.ts';

/*
 * How groups leave the journal, which otherwise keeps them for ever: whoever reaches the receiver can add some.
 * Forgetting removes the merged state and the delivered events it was merged from, so that nothing in the journal
 * mentions the group; copies keep what they hold, and its next change begins a new state. It works in small transactions
 * between callbacks: a crash leaves a group some of whose events are pruned.
 */

/** Events that one transaction removes, or that are examined without a pause. */
const STEP_EVENTS = 500;
/** What a step of `destroyed` reads, apart from its last row: a group has up to 512 KB, an old one may have more. */
const STEP_GROUPS = 64;
const STEP_BYTES = 1_048_576;

interface ForgetPorts {
  /** Removes these events from the journal. */
  remove(seqs: readonly number[]): void;
  /** The enabled connectors: what one of them has not taken yet is not forgotten. */
  connectors(): readonly string[];
  readonly clock: Pick<Clock, 'now'>;
}

export function createForgetting(
  { connection }: Database,
  groups: GroupBuffer,
  { write, flush }: Committer,
  { remove, connectors, clock }: ForgetPorts,
) {
  const latestOf = connection.prepare('SELECT last_seq FROM groups WHERE group_id = ?');
  const previousOf = connection.prepare('SELECT previous FROM events WHERE seq = ? AND group_id = ?');
  const openOf = connection.prepare('SELECT connector, state FROM deliveries WHERE seq = ?');
  const cursorOf = connection.prepare('SELECT cursor FROM lanes WHERE connector = ?');
  const page = connection.prepare(
    `SELECT group_id, octet_length(state) AS size, json_extract(state, '$.destroyed') AS destroyed,
       json_extract(state, '$.versions.destroyed[0]') AS at
     FROM groups WHERE group_id > ? ORDER BY group_id LIMIT ${STEP_GROUPS}`,
  );

  const latest = (groupId: string): number | undefined => {
    const row = latestOf.get(groupId);
    return row && Number(row.last_seq ?? 0);
  };
  /** Returns why an enabled connector still needs the group's events up to this one. */
  const needed = (last: number): Fault | undefined => {
    for (const connector of connectors()) {
      if (Number(cursorOf.get(connector)?.cursor ?? 0) < last)
        return unsettled(`${connector} has not taken its events`);
    }
    return undefined;
  };
  const held = (seq: number): Fault | undefined => {
    for (const { connector, state } of openOf.all(seq) as { connector: string; state: string }[]) {
      if (!connectors().includes(connector)) continue;
      const what = state === 'dead' ? 'a dead letter of it stands' : 'an event of it waits for its retry';
      return unsettled(`${what} at ${connector} (seq ${seq})`);
    }
    return undefined;
  };

  /** Returns the seqs of the group's events, oldest first; or why they are needed. */
  const chainOf = async (groupId: string, last: number): Promise<number[] | Fault> => {
    const seqs: number[] = [];
    for (let seq: number | undefined = last || undefined; seq !== undefined; ) {
      const row = previousOf.get(seq, groupId);
      if (row === undefined) break;
      const fault = held(seq);
      if (fault !== undefined) return fault;
      seqs.push(seq);
      seq = row.previous === null ? undefined : Number(row.previous);
      if (seqs.length % STEP_EVENTS === 0) await turn();
    }
    return seqs.reverse();
  };

  return {
    /** Forgets one group. Resolves with why it cannot; rejects with a BridgeError if the journal cannot be written. */
    async forget(groupId: string): Promise<Fault | undefined> {
      // What lanes have settled is written with the next transaction.
      await write(() => {});
      flush();
      const last = latest(groupId);
      if (last === undefined) return { code: 'group-unknown', message: 'no such group is kept' };
      const fault = needed(last);
      if (fault !== undefined) return fault;
      const seqs = await chainOf(groupId, last);
      if (!Array.isArray(seqs)) return seqs as Fault;
      while (seqs.length > STEP_EVENTS) {
        const step = seqs.splice(0, STEP_EVENTS);
        await write(() => remove(step));
      }
      return write(() => {
        // A callback of the group may have come meanwhile, or earlier in this very transaction.
        if (groups.buffered(groupId) !== undefined || (groups.latest(groupId) ?? 0) !== last) {
          return unsettled('it has just changed');
        }
        remove(seqs);
        groups.forget(groupId);
        return undefined;
      });
    },
    /** Returns which of a step of groups were destroyed `olderMs` ago or earlier; `last` is undefined at the end. */
    destroyed(after: string, olderMs: number) {
      const until = clock.now() - olderMs;
      const groupIds: string[] = [];
      let looked = 0;
      let bytes = 0;
      for (const { group_id, size, destroyed, at } of page.iterate(after)) {
        const groupId = group_id as string;
        looked++;
        bytes += Number(size);
        // The age of a destruction without a time is unknown.
        if (destroyed === 1 && at !== null && Number(at) <= until) groupIds.push(groupId);
        if (looked === STEP_GROUPS || bytes >= STEP_BYTES) return { groupIds, looked, last: groupId };
      }
      return { groupIds, looked, last: undefined };
    },
  };
}

const unsettled = (message: string): Fault => ({
  code: 'group-unsettled',
  message,
  suggestion:
    'wait until it is delivered, resume the connector, retry or discard its dead letters; then forget it again',
});
