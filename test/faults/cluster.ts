/** Faults of members of clusters: three brokers and three nodes, of which any one that works is enough. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  type ElasticsearchCluster,
  type KafkaCluster,
  type ServerHandle,
  startElasticsearchCluster,
  startKafkaCluster,
} from '../servers/index.ts';
import type { Verdict } from './oracle.ts';
import { closingTable, namedFindings, type Round } from './report.ts';
import { type RoundReport, recovery, seconds } from './rounds.ts';
import { type Destinations, destinationsAt } from './servers.ts';
import { createTestbed, type Testbed } from './testbed.ts';
import { waitUntil } from './wait.ts';

export interface Clusters extends Destinations {
  readonly kafka: KafkaCluster;
  readonly elasticsearch: ElasticsearchCluster;
  stop(): Promise<void>;
}

export async function startClusters(onProgress: (line: string) => void = () => {}): Promise<Clusters> {
  const kafka = await startKafkaCluster({ onProgress });
  try {
    const elasticsearch = await startElasticsearchCluster({ onProgress });
    return {
      destinations: destinationsAt(
        { brokers: kafka.addresses.join(','), elasticsearchUrl: elasticsearch.addresses[0] as string },
        () => ({ brokers: kafka.addresses, nodes: elasticsearch.addresses }),
        { createTopic: { replicationFactor: 3, config: { 'min.insync.replicas': '2' } }, createIndex: { replicas: 1 } },
      ),
      kafka,
      elasticsearch,
      stop: async () => void (await Promise.all([kafka.stop(), elasticsearch.stop()])),
    };
  } catch (thrown) {
    await kafka.stop();
    throw thrown;
  }
}

type ClusterTestbed = Testbed<Clusters>;
interface ClusterFault {
  readonly name: string;
  inject(testbed: ClusterTestbed, turn: number): Promise<RoundReport>;
}

/** How long a member is away at least; recovery is measured while it still is. */
const AWAY_MS = 5_000;
const NOTICED_MS = 1_000;
const WARM_WITHIN_MS = 120_000;

/** Recovery is measured from the fault on, with the member still away: it must not be needed. */
async function without(testbed: ClusterTestbed, member: ServerHandle, how: 'kill' | 'suspend'): Promise<RoundReport> {
  const began = performance.now();
  await member[how]();
  // What was recorded before may have been delivered before, too.
  await delay(NOTICED_MS);
  await recovery(testbed);
  const recoveryMs = performance.now() - began;
  await delay(Math.max(0, AWAY_MS - (performance.now() - began)));
  if (how === 'kill') await member.restart();
  else member.resume();
  await recovery(testbed);
  return { did: `${how} of one, recovered without it`, recoveryMs };
}

async function roll(testbed: ClusterTestbed, members: readonly ServerHandle[]): Promise<RoundReport> {
  for (const member of members) await member.restart();
  return { did: 'each restarted in turn', recoveryMs: await recovery(testbed) };
}

/** Two of three brokers are away: no partition has the replicas that it must have. */
async function belowMinIsr(testbed: ClusterTestbed, turn: number): Promise<RoundReport> {
  const { members } = testbed.servers.kafka;
  const away = members.filter((_, index) => index !== turn % members.length);
  await Promise.all(away.map((member) => member.kill()));
  await delay(AWAY_MS);
  await Promise.all(away.map((member) => member.restart()));
  return { did: 'two of three brokers away', recoveryMs: await recovery(testbed) };
}

const member = <Kind extends 'kafka' | 'elasticsearch'>(testbed: ClusterTestbed, kind: Kind, turn: number) => {
  const { members } = testbed.servers[kind];
  return members[turn % members.length] as ServerHandle;
};

/** One after another; `turn` counts the rounds of the same fault, so that each member has its turn. */
const FAULTS: readonly ClusterFault[] = [
  ...(['kafka', 'elasticsearch'] as const).flatMap((kind): ClusterFault[] => [
    { name: `${kind}-member-kill`, inject: (testbed, turn) => without(testbed, member(testbed, kind, turn), 'kill') },
    {
      name: `${kind}-member-hang`,
      inject: (testbed, turn) => without(testbed, member(testbed, kind, turn), 'suspend'),
    },
    { name: `${kind}-roll`, inject: (testbed) => roll(testbed, testbed.servers[kind].members) },
  ]),
  { name: 'kafka-below-min-isr', inject: belowMinIsr },
];

/** The last round: a node leaves for good, and its address stays in the configuration. */
async function leave(testbed: ClusterTestbed): Promise<RoundReport> {
  const last = testbed.servers.elasticsearch.members.at(-1) as ServerHandle;
  await last.stop();
  await testbed.bridge.kill();
  testbed.bridge.launch();
  await testbed.bridge.answering();
  return { did: 'a node left for good, the bridge was started anew', recoveryMs: await recovery(testbed) };
}

/** Returns the exit code. */
export async function runCluster(count: number, rate: number, print: (line: string) => void): Promise<number> {
  print(`${count} rounds on three brokers and three nodes, ${rate} callbacks a second`);
  const servers = await startClusters(print);
  try {
    const testbed = await createTestbed(servers, {
      load: { rate, groups: 320, connections: 8 },
      journal: { keepDelivered: '30s' },
      connector: { requestTimeoutMs: 10_000 },
    });
    try {
      const { load } = testbed;
      await waitUntil(() => load.ledger.answeredOk > 3_000, 'the load is under way', WARM_WITHIN_MS);
      const rounds: Round[] = [];
      const round = async (name: string, inject: () => Promise<RoundReport>): Promise<void> => {
        load.round = rounds.length + 1;
        const report = await inject();
        rounds.push({ ...report, fault: name, round: load.round });
        print(
          `round ${load.round}/${count} ${name}: ${report.did}; recovered in ${seconds(report.recoveryMs ?? 0)}; ${load.ledger.answeredOk} OK so far`,
        );
      };
      for (let n = 0; n < count - 1; n++) {
        const fault = FAULTS[n % FAULTS.length] as ClusterFault;
        await round(fault.name, () => fault.inject(testbed, Math.floor(n / FAULTS.length)));
      }
      await round('elasticsearch-leave', () => leave(testbed));
      const verdict = await testbed.verify();
      return conclude(rounds, verdict, testbed.bridge.errors(), print);
    } finally {
      await testbed.close();
    }
  } finally {
    await servers.stop();
  }
}

function conclude(
  rounds: readonly Round[],
  verdict: Verdict,
  errors: readonly string[],
  print: (line: string) => void,
): number {
  const { findings, deadLetters, deliveredWithoutOk } = verdict;
  print(`\n${closingTable(rounds, verdict)}`);
  print('Recovery: from the fault on, with the member still away; of the others, from the moment all were back.');
  const disorder = findings.filter(({ kind }) => kind === 'out of order').length;
  print(`\nout of order ${disorder}, dead letters ${deadLetters}, delivered without OK ${deliveredWithoutOk}`);
  for (const error of errors) print(`the bridge logged an error: ${error}`);
  for (const line of namedFindings(findings, rounds)) print(line);
  return findings.length === 0 && deadLetters === 0 ? 0 : 1;
}
