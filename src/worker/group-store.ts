import type { GroupSink } from '../../connectors/contract.ts';
import { openDatabase } from '../journal/database.ts';
import { createGroupStore } from '../journal/groups.ts';
import type { Group } from '../model/group.ts';

/*
 * The merged groups of a connector whose sink replaces its copies, so that whoever writes a group must know all of it. That
 * is the worker that owns the group's partition; the consumer group ensures that there is only one. After each rebalance,
 * before anything is delivered, it reads the destination to its end, which holds what the previous owner knew. Groups of
 * other partitions may stay, since states are joined. They are in a file, since there may be many.
 */

export type FollowedGroups = ReturnType<typeof openFollowedGroups>;

const PAGE = 1_000;

/** Looks at several groups, since a destroyed one may lack its source. */
const FOREIGN = `SELECT source FROM (SELECT json_extract(state, '$.source') AS source FROM groups LIMIT 100) WHERE source <> ?`;

export function openFollowedGroups(file: string, app: string, note: (message: string) => void) {
  const database = openDatabase(file, {
    onDamaged: ({ setAside }) =>
      note(`${file} was damaged and set aside as ${setAside}: it is rebuilt from the destination`),
  });
  const { connection } = database;
  const foreign = connection.prepare(FOREIGN).get(app)?.source;
  // A group of another app is a different one even if it has the same id, so the two must not be merged.
  if (foreign !== undefined) {
    connection.exec('DELETE FROM groups');
    note(`${file} held groups of ${foreign}: it is rebuilt from the destination`);
  }
  const store = createGroupStore(database);
  return {
    get: store.get,
    merge: store.merge,
    /** Learns what other workers wrote to the destination. Throws Unreachable. */
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
