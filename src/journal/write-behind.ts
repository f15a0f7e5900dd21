import type { CanonicalEvent } from '../model/event.ts';
import type { Database } from './database.ts';
import { createGroupWriter, type GroupWriter } from './groups.ts';

/*
 * Merged groups are written behind the events they are made of, in transactions of their own: one row a group however many
 * events it had meanwhile, where a row with each event would be most of what is written. Nothing is lost by that. Beside
 * them, in the same transaction, stands the seq up to which events are in them, and at the start of the bridge what lies
 * behind it is merged again; it is never pruned before. Merging is by field and version, so twice is once.
 */

export interface MergedGroups extends Pick<GroupWriter, 'begin' | 'latest' | 'merge' | 'unwritten'> {
  /** The transaction is committed, up to this seq. */
  committed(head: number): void;
  /** In so many milliseconds they are to be written, 0: now; undefined when there is nothing to write. */
  dueInMs(): number | undefined;
  /** Writes them, within a transaction of the caller. */
  write(): void;
  /** That transaction is committed. */
  written(): void;
  /** Events up to this seq are in the groups that are written. */
  upTo(): number;
}

/** For each group that was written last: at some microseconds each, writing then takes half a percent of the time. */
const PER_GROUP_MS = 1.5;
/** The least and the most between two writes: some connectors wait for them. */
const MIN_BEHIND_MS = 10;
const MAX_BEHIND_MS = 500;
/** And not more at a time: callbacks wait meanwhile. */
const MAX_GROUPS = 2_500;
/** Events that are merged in one transaction at the start. */
const PAGE = 1_000;

export function openMergedGroups({ connection, transact }: Database): MergedGroups {
  const groups = createGroupWriter(connection);
  const mark = connection.prepare('UPDATE merged SET seq = ?');
  let upTo = Number(connection.prepare('SELECT seq FROM merged').get()?.seq);
  let head = upTo;
  let writtenAt = Number.NEGATIVE_INFINITY;
  let writtenGroups = 0;

  const write = (): void => {
    groups.write();
    mark.run(head);
  };
  const written = (): void => {
    writtenAt = performance.now();
    writtenGroups = groups.pending();
    groups.written();
    upTo = head;
  };

  const behind = connection.prepare('SELECT seq, event FROM events WHERE seq > ? ORDER BY seq LIMIT ?');
  for (let rows = behind.all(head, PAGE); rows.length > 0; rows = behind.all(head, PAGE)) {
    groups.begin();
    for (const { seq, event } of rows) {
      // Written by this program from a value of this type: not checked a second time.
      groups.merge(JSON.parse(event as string) as CanonicalEvent, seq as number);
      head = seq as number;
    }
    groups.committed();
    try {
      transact(write);
      written();
    } catch {
      // A disk that is full now may have room later: then they are written.
    }
  }

  return {
    begin: groups.begin,
    latest: groups.latest,
    merge: groups.merge,
    unwritten: groups.unwritten,
    committed(seq) {
      groups.committed();
      head = seq;
    },
    dueInMs() {
      if (head === upTo) return undefined;
      if (groups.pending() >= MAX_GROUPS) return 0;
      const behindMs = Math.min(Math.max(writtenGroups * PER_GROUP_MS, MIN_BEHIND_MS), MAX_BEHIND_MS);
      return Math.max(0, writtenAt + behindMs - performance.now());
    },
    write,
    written,
    upTo: () => upTo,
  };
}
