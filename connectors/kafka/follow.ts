import { parseGroup } from '../../src/client/group.ts';
import type { Group } from '../../src/model/group.ts';
import type { GroupSink } from '../contract.ts';
import { STATE_HEADER } from './message.ts';
import { clientOptions, type KafkaOptions } from './options.ts';
import { type ReadRecord, readToEnd } from './reader.ts';

/** Reads a compacted topic of groups on to its end, at each call from where the last one came to. */
export function followGroups(options: KafkaOptions, path: string, groupId: string): NonNullable<GroupSink['follow']> {
  const positions = new Map<number, bigint>();
  return async (take, signal) => {
    try {
      const client = { ...(await clientOptions(options, path, signal)), groupId };
      const learn = (record: ReadRecord): void => {
        const found = stateOf(record);
        if (found !== undefined) take(found.groupId, found.group);
      };
      await readToEnd(client, positions, learn, signal);
    } catch (thrown) {
      // What was not taken is to be read again.
      positions.clear();
      throw thrown;
    }
  };
}

/** Undefined where nothing can be learned from the record. A tombstone may carry the state that the group had. */
function stateOf(record: ReadRecord): { groupId: string; group: Group | null } | undefined {
  const read = parseGroup(record);
  if (!read.ok) return undefined;
  const [buried] = [record.headers[STATE_HEADER] ?? []].flat();
  if (read.group !== null || buried === undefined) return read;
  const state = parseGroup({ ...record, value: buried });
  return state.ok ? state : read;
}
