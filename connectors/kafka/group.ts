/** A consumer group that others may be using, too. */
import kafkajs from 'kafkajs';
import { Unreachable } from '../../src/model/fault.ts';
import { read } from './client.ts';
import type { ClientOptions } from './options.ts';
import { committedBy } from './reader.ts';

/** Resolves with the number of the group's members. Throws Unreachable if one of them reads another topic. */
export async function refuseStrangers(client: ClientOptions, groupId: string): Promise<number> {
  const { groups } = await read(client, (admin) => admin.describeGroups([groupId]));
  const members = groups.flatMap(({ members }) => members);
  const kind = groups.find(({ protocolType }) => !['', 'consumer'].includes(protocolType))?.protocolType;
  if (kind !== undefined) throw strange(client, `the group ${groupId} is one of ${kind}, not of consumers`);
  // Members are described once the group is stable; a rebalance repeats this check.
  const topics = members.flatMap(({ memberMetadata: data }) =>
    data.length === 0 ? [] : (kafkajs.AssignerProtocol.MemberMetadata.decode(data)?.topics ?? []),
  );
  const other = topics.find((topic) => topic !== client.topic);
  if (other === undefined) return members.length;
  const why = 'its members would take partitions that they do not read';
  throw strange(client, `the group ${groupId} reads ${other}, too: ${why}`);
}

function strange({ path, topic }: ClientOptions, message: string): Unreachable {
  const suggestion = `choose a groupId that is used for ${topic} only`;
  return new Unreachable({ code: 'destination-misconfigured', path: `${path}.groupId`, message, suggestion });
}

/** Continues where a group of another name stopped, unless this one has committed something. Throws Unreachable. */
export async function takeOver(client: ClientOptions, from: string, to: string): Promise<void> {
  const [before, now] = await Promise.all([committedBy(client, from), committedBy(client, to)]);
  if (before.size === 0 || now.size > 0) return;
  const partitions = Array.from(before, ([partition, offset]) => ({ partition, offset: String(offset) }));
  await read(client, (admin) => admin.setOffsets({ groupId: to, topic: client.topic, partitions }));
}
