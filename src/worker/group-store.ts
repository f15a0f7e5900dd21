/** The merged groups of one connector that writes them as they are: in a file, since there may be many. */
import { type ReadRecord, readToEnd } from '../../connectors/kafka/consumer.ts';
import { STATE_HEADER } from '../../connectors/kafka/message.ts';
import { type GroupState, parseGroup } from '../client/group.ts';
import { openDatabase } from '../journal/database.ts';
import { createGroupStore } from '../journal/groups.ts';
import type { CanonicalEvent } from '../model/event.ts';
import type { Group } from '../model/group.ts';

/*
 * A record of a compacted topic says all of a group, so whoever writes it must know all of it. Of each group that is the
 * worker that owns its partition of the events: the consumer group sees to it that there is one. What the worker before it
 * knew stands in the compacted topic, which therefore is read to its end whenever partitions were shared out anew, and before
 * anything is delivered. What is known here beside is from the same events, so it may stay: states are joined.
 */

export interface HeldGroups {
  get(groupId: string): Group | undefined;
  /** Takes these events in; they are in what `get` gives when it returns. */
  merge(events: readonly CanonicalEvent[]): void;
  /** Reads on to the end of the compacted topic. Throws Unreachable. */
  catchUp(signal: AbortSignal): Promise<void>;
  close(): void;
}

/** So many groups of the topic are written in one transaction. */
const PAGE = 1_000;

/** `client` says how the compacted topic is reached. */
export function openGroups(
  file: string,
  note: (message: string) => void,
  client: (signal: AbortSignal) => Promise<Parameters<typeof readToEnd>[0]>,
): HeldGroups {
  const database = openDatabase(file, {
    onDamaged: ({ setAside }) =>
      note(`${file} was damaged and set aside as ${setAside}: it is made anew from the topic`),
  });
  const store = createGroupStore(database);
  const positions = new Map<number, bigint>();

  return {
    get: store.get,
    merge: store.merge,
    async catchUp(signal) {
      let page: GroupState[] = [];
      const write = (): void => {
        const states = page;
        page = [];
        try {
          store.join(states);
        } catch (thrown) {
          // What is not kept is to be read again.
          positions.clear();
          throw thrown;
        }
      };
      const learn = (record: ReadRecord): void => {
        const state = stateOf(record);
        if (state !== undefined && page.push(state) >= PAGE) write();
      };
      try {
        await readToEnd(await client(signal), positions, learn, signal);
      } finally {
        write();
      }
    },
    close: database.close,
  };
}

/** Undefined where nothing can be learned from it. */
function stateOf(record: ReadRecord): GroupState | undefined {
  const read = parseGroup(record);
  if (!read.ok) return undefined;
  const [buried] = [record.headers[STATE_HEADER] ?? []].flat();
  if (read.group !== null || buried === undefined) return read;
  const state = parseGroup({ ...record, value: buried });
  return state.ok ? state : read;
}
