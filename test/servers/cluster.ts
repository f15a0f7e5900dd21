/** Clusters of three on this machine, with small heaps. Each member can be killed, hung and started again by itself. */
import { type ElasticsearchServer, startElasticsearch } from './elasticsearch.ts';
import { type KafkaServer, startKafka } from './kafka.ts';
import { freePort } from './port.ts';
import type { ServerHandle, ServerOptions } from './process.ts';

const MEMBERS = 3;

export interface Cluster<Member extends ServerHandle> {
  readonly members: readonly Member[];
  /** Where each of them answers clients: 'host:port' or an origin. */
  readonly addresses: readonly string[];
  stop(): Promise<void>;
}
export type KafkaCluster = Cluster<KafkaServer>;
export type ElasticsearchCluster = Cluster<ElasticsearchServer>;

/** Three brokers, each a controller, too. What is written to a topic of theirs is on at least two of them. */
export function startKafkaCluster(options: Pick<ServerOptions, 'onProgress' | 'settings'> = {}): Promise<KafkaCluster> {
  return startCluster(
    ({ ports, index, peers }) =>
      startKafka({
        ...options,
        ports,
        heapMb: 256,
        settings: {
          'node.id': String(index + 1),
          'controller.quorum.voters': peers.map((peer, n) => `${n + 1}@127.0.0.1:${peer}`).join(','),
          'default.replication.factor': String(MEMBERS),
          'min.insync.replicas': '2',
          'offsets.topic.replication.factor': String(MEMBERS),
          'offsets.topic.num.partitions': '3',
          // A replica that hangs is left out after this time; 30 s by default.
          'replica.lag.time.max.ms': '5000',
          // Of a small heap, the 128 MB of the default are too much.
          'log.cleaner.dedupe.buffer.size': '8388608',
          ...options.settings,
        },
      }),
    ({ brokers }) => brokers,
  );
}

/** Three nodes, any of which may become the master. */
export function startElasticsearchCluster(
  options: Pick<ServerOptions, 'onProgress' | 'settings'> = {},
): Promise<ElasticsearchCluster> {
  const names = Array.from({ length: MEMBERS }, (_, n) => `node-${n + 1}`);
  return startCluster(
    ({ ports, index, peers }) =>
      startElasticsearch({
        ...options,
        ports,
        heapMb: 512,
        settings: {
          'node.name': names[index] as string,
          'discovery.type': 'multi-node',
          'discovery.seed_hosts': JSON.stringify(peers.map((peer) => `127.0.0.1:${peer}`)),
          'cluster.initial_master_nodes': JSON.stringify(names),
          'cluster.fault_detection.follower_check.timeout': '3s',
          'cluster.fault_detection.leader_check.timeout': '3s',
          ...options.settings,
        },
      }),
    ({ url }) => url,
  );
}

interface Place {
  readonly index: number;
  readonly ports: readonly [number, number];
  /** Where the members, this one included, find each other. */
  readonly peers: readonly number[];
}

/** Starts all members at once, since none answers before most of them are there. */
async function startCluster<Member extends ServerHandle>(
  start: (place: Place) => Promise<Member>,
  addressOf: (member: Member) => string,
): Promise<Cluster<Member>> {
  const places: [number, number][] = [];
  for (let n = 0; n < MEMBERS; n++) places.push([await freePort(), await freePort()]);
  const peers = places.map(([, peer]) => peer);
  const settled = await Promise.allSettled(places.map((ports, index) => start({ index, ports, peers })));
  const members = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const stop = async (): Promise<void> => {
    await Promise.all(members.map((member) => member.stop()));
  };
  const failed = settled.find((one) => one.status === 'rejected');
  if (failed === undefined) return { members, addresses: members.map(addressOf), stop };
  await stop();
  throw failed.reason;
}
