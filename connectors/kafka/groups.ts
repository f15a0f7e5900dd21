/** A compacted topic of groups: read back by workers, and checked for groups of another app. */
import { parseGroup } from '../../src/client/group.ts';
import { Unreachable } from '../../src/model/fault.ts';
import { type Group, isForeign } from '../../src/model/group.ts';
import type { Shape } from '../../src/model/shape.ts';
import type { GroupSink, Host } from '../contract.ts';
import { partitionOf } from './message.ts';
import { clientOptions, type KafkaOptions } from './options.ts';
import { extentsOf, type ReadRecord, readToEnd } from './reader.ts';

/** Reads a compacted topic of groups once, for the last record of each. */
export function scanGroups(options: KafkaOptions, host: Host): NonNullable<GroupSink['scan']> {
  // If partitions were added, a record outside its key's present partition is older, whichever is read last.
  const isLast = ({ key, partition }: ReadRecord, partitions: number): boolean =>
    partitionOf(key ?? '', partitions) === partition;
  return (take, signal) => followGroups(options, host, new Map(), isLast)(take, signal);
}

/**
 * Reads a compacted topic of groups to its end, each call from where the last one stopped. Throws Unreachable if there
 * are groups of another app.
 */
export function followGroups(
  options: KafkaOptions,
  host: Host,
  positions = new Map<number, bigint>(),
  counts: (record: ReadRecord, partitions: number) => boolean = () => true,
): NonNullable<GroupSink['follow']> {
  return async (take, signal) => {
    let foreign: string | undefined;
    const learn = (record: ReadRecord, partitions: number): void => {
      const found = counts(record, partitions) ? stateOf(record, host.shape) : undefined;
      if (found === undefined) return;
      if (found.group && isForeign(found.group, host.source)) foreign = found.group.source;
      else take(found.groupId, found.group);
    };
    try {
      await readToEnd(await readerOptions(options, host, signal), positions, learn, signal);
      if (foreign !== undefined) throw ofAnotherApp(foreign, options, host);
    } catch (thrown) {
      // Read again what was not taken.
      positions.clear();
      throw thrown;
    }
  };
}

/** Returns undefined if the record is of no use. A tombstone may carry the group's last state. */
function stateOf(found: ReadRecord, shape: Shape | undefined): { groupId: string; group: Group | null } | undefined {
  const record = shape === undefined ? found : unshaped(found, shape);
  if (record === undefined) return undefined;
  const read = parseGroup(record);
  return read.ok ? { groupId: read.groupId, group: read.group ?? read.lastState ?? null } : undefined;
}

/** Returns the record as it would be without the shape; undefined if it was not written in it. */
function unshaped(record: ReadRecord, shape: Shape): ReadRecord | undefined {
  const groupId = shape.key.back(String(record.key ?? ''));
  if (!groupId) return undefined;
  const key = Buffer.from(groupId);
  if (record.value === null) return { ...record, key };
  try {
    const value = { customFields: {}, ...shape.back(JSON.parse(String(record.value))), groupId };
    return { ...record, key, value: Buffer.from(JSON.stringify(value)) };
  } catch {
    return undefined;
  }
}

async function readerOptions(options: KafkaOptions, { name, readerId = options.clientId }: Host, signal: AbortSignal) {
  return { ...(await clientOptions(options, `connectors.${name}`, signal)), groupId: readerId };
}

/** Records at the end of each partition that are checked for groups of another app. */
const SAMPLE = 10n;
/** A check takes seconds, since kafkajs can only read as a consumer group: one per lane is enough. */
const looked = new WeakSet<Host>();

/** Throws Unreachable if the topic is known to hold groups of another app: equal ids would replace each other. */
export async function refuseForeign(options: KafkaOptions, host: Host, signal: AbortSignal): Promise<void> {
  if (looked.has(host)) return;
  try {
    const { extents } = await extentsOf(await readerOptions(options, host, signal));
    const positions = new Map(extents.map(({ partition, high }) => [partition, high - SAMPLE]));
    await followGroups(options, host, positions)(() => {}, signal);
  } catch (thrown) {
    if (!(thrown instanceof Unreachable)) throw thrown;
    // A partition without a leader must not hold up the others.
    if (thrown.fault.code === 'destination-overloaded') return;
    if (thrown.fault.code !== 'destination-credentials') throw thrown;
    // Deliveries need no right to read.
    host.note(`cannot check whether ${options.topic} holds groups of another app: ${thrown.fault.message}`);
  }
  looked.add(host);
}

function ofAnotherApp(found: string, { topic }: KafkaOptions, { name, source }: Host): Unreachable {
  return new Unreachable({
    code: 'destination-misconfigured',
    path: `connectors.${name}.topic`,
    message: `The topic ${topic} holds groups of ${found}, but this bridge is for ${source}`,
    suggestion: 'use a separate topic for each app, or correct app.sdkAppId',
  });
}
