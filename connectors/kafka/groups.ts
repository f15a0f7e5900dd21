/** What a compacted topic of groups holds: read back by workers, and looked at for groups of another app. */
import { parseGroup } from '../../src/client/group.ts';
import { Unreachable } from '../../src/model/fault.ts';
import { type Group, isForeign } from '../../src/model/group.ts';
import type { Shape } from '../../src/model/shape.ts';
import type { GroupSink, Host } from '../contract.ts';
import { partitionOf } from './message.ts';
import { clientOptions, type KafkaOptions } from './options.ts';
import { extentsOf, type ReadRecord, readToEnd } from './reader.ts';

/** Reads a compacted topic of groups once, for the last record of each. */
export const scanGroups =
  (options: KafkaOptions, host: Host): NonNullable<GroupSink['scan']> =>
  (take, signal) =>
    // Where there were fewer partitions once, what lies in another than the key's own now is older, whichever is read last.
    followGroups(
      options,
      host,
      new Map(),
      ({ key, partition }, partitions) => partitionOf(key ?? '', partitions) === partition,
    )(take, signal);

/**
 * Reads a compacted topic of groups on to its end, at each call from where the last one came to. Throws Unreachable where there are
 * groups of another app.
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
      // What was not taken is to be read again.
      positions.clear();
      throw thrown;
    }
  };
}

/** Returns undefined where nothing can be learned from the record. A tombstone may carry the state that the group had. */
function stateOf(found: ReadRecord, shape: Shape | undefined): { groupId: string; group: Group | null } | undefined {
  const record = shape === undefined ? found : unshaped(found, shape);
  if (record === undefined) return undefined;
  const read = parseGroup(record);
  return read.ok ? { groupId: read.groupId, group: read.group ?? read.lastState ?? null } : undefined;
}

/** Returns the record as it would be without a shape; undefined for one that was not written in it. */
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

/** The records at the end of each partition that are looked at to tell whose groups a topic holds. */
const SAMPLE = 10n;
/** Looking takes some seconds, since kafkajs reads as a consumer group only: once is enough for one lane. */
const looked = new WeakSet<Host>();

/** Throws Unreachable where the topic is known to hold groups of another app: those of one id would replace each other. */
export async function refuseForeign(options: KafkaOptions, host: Host, signal: AbortSignal): Promise<void> {
  if (looked.has(host)) return;
  try {
    const extents = await extentsOf(await readerOptions(options, host, signal));
    const positions = new Map(extents.map(({ partition, high }) => [partition, high - SAMPLE]));
    await followGroups(options, host, positions)(() => {}, signal);
  } catch (thrown) {
    if (!(thrown instanceof Unreachable) || thrown.fault.code !== 'destination-credentials') throw thrown;
    // Writing needs no right to read.
    host.note(`whether ${options.topic} holds groups of another app may not be read: ${thrown.fault.message}`);
  }
  looked.add(host);
}

function ofAnotherApp(found: string, { topic }: KafkaOptions, { name, source }: Host): Unreachable {
  return new Unreachable({
    code: 'destination-misconfigured',
    path: `connectors.${name}.topic`,
    message: `The topic ${topic} holds groups of ${found}, and this bridge is that of ${source}`,
    suggestion: 'give each app a topic of its own, or correct app.sdkAppId',
  });
}
