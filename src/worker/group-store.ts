import type { GroupSink } from '../../connectors/contract.ts';
import { openDatabase } from '../journal/database.ts';
import { createGroupStore } from '../journal/groups.ts';
import type { Group } from '../model/group.ts';

/*
 * The merged groups of one connector whose sink replaces its copies: whoever writes a group must know all of it. For each
 * group that is the worker that owns its partition of the events; the consumer group ensures that there is just one. What
 * the previous owner knew is at the destination, which is followed to its end after each rebalance, before anything is
 * delivered. Other groups kept here come from the same events, so they may stay: states are joined. A file holds them,
 * since there may be many.
 */

export type FollowedGroups = ReturnType<typeof openFollowedGroups>;

/** Groups of the destination that are written in one transaction. */
const PAGE = 1_000;

/** A group that was destroyed may not say whose it was, so some are looked at. */
const FOREIGN = `SELECT source FROM (SELECT json_extract(state, '$.source') AS source FROM groups LIMIT 100) WHERE source <> ?`;

export function openFollowedGroups(file: string, app: string, note: (message: string) => void) {
  const database = openDatabase(file, {
    onDamaged: ({ setAside }) =>
      note(`${file} was damaged and set aside as ${setAside}: it is made anew from the destination`),
  });
  const { connection } = database;
  const foreign = connection.prepare(FOREIGN).get(app)?.source;
  // A group of the same id there is another's, with which nothing is merged.
  if (foreign !== undefined) {
    connection.exec('DELETE FROM groups');
    note(`${file} held groups of ${foreign}: it is made anew from the destination`);
  }
  const store = createGroupStore(database);
  return {
    get: store.get,
    /** Takes these events in: `get` gives them when it returns. */
    merge: store.merge,
    /** Learns what others put at the destination. Throws Unreachable. */
    async follow(sink: GroupSink, signal: AbortSignal): Promise<void> {
      const page: { groupId: string; group: Group | null }[] = [];
      const write = (): void => store.join(page.splice(0));
      await sink.follow?.((groupId, group) => {
        if (page.push({ groupId, group }) >= PAGE) write();
      }, signal);
      write();
    },
    close: database.close,
  };
}
