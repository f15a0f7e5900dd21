/** Three brokers of which one is lost: the others go on. The long run with nodes, too, is `npm run test:faults -- --cluster`. */
import { randomUUID } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { leaveOutLeaderless } from '../../connectors/kafka/leaders.ts';
import { type KafkaCluster, missingPrerequisite, startKafkaCluster } from '../servers/index.ts';
import { type BridgeProcess, bridgeHome, inStep, startBridgeProcess } from '../support/bridge.process.ts';
import { body, search } from '../support/callbacks.ts';

// So that it can be asked how far the other partitions are.
leaveOutLeaderless();

const missing = process.env.BRIDGE_TEST_SERVERS === 'off' ? 'BRIDGE_TEST_SERVERS=off' : await missingPrerequisite();
const skipped = missing === undefined ? '' : ` (skipped: ${missing})`;

describe.skipIf(missing !== undefined)(`three brokers${skipped}`, { timeout: 180_000 }, () => {
  let cluster: KafkaCluster;
  beforeAll(async () => {
    // A broker is missed for longer than a request may take, as it is by default.
    cluster = await startKafkaCluster({
      settings: { 'broker.session.timeout.ms': '9000', 'replica.lag.time.max.ms': '9000' },
    });
  }, 120_000);
  afterAll(() => cluster?.stop());

  const admin = async <T>(work: (admin: ReturnType<Kafka['admin']>) => Promise<T>): Promise<T> => {
    const client = new Kafka({ brokers: [...cluster.addresses], logLevel: logLevel.NOTHING }).admin();
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.disconnect();
    }
  };
  const counts = async (topic: string): Promise<Map<number, number>> =>
    new Map(
      (await admin((client) => client.fetchTopicOffsets(topic))).map(({ partition, high }) => [partition, +high]),
    );
  const lagOf = async ({ adminUrl }: BridgeProcess): Promise<number> => {
    const status = (await (await fetch(`${adminUrl}/api/status`)).json()) as { connectors: { lag: number }[] };
    return status.connectors[0]?.lag ?? -1;
  };

  async function startOn(topic: string): Promise<BridgeProcess> {
    const home = bridgeHome(() => ({
      events: {
        kind: 'kafka',
        brokers: cluster.addresses,
        topic,
        createTopic: false,
        requestTimeoutMs: 4_000,
        retry: { initialMs: 100, maxMs: 500 },
      },
    }));
    onTestFinished(home.remove);
    return startBridgeProcess(home);
  }

  test.each([
    ['below min.insync.replicas', [1, 2], [1, 3]],
    ['without a leader', [1], [3]],
  ])('a partition %s repeats no record of another, and only its own groups wait', async (_, first, second) => {
    const topic = `test.${randomUUID()}`;
    await admin((client) =>
      client.createTopics({
        waitForLeaders: false,
        topics: [
          {
            topic,
            // kafkajs asks for these two although the assignment says them.
            numPartitions: -1,
            replicationFactor: -1,
            replicaAssignment: [
              { partition: 0, replicas: first },
              { partition: 1, replicas: second },
            ],
            configEntries: [{ name: 'min.insync.replicas', value: String(first.length) }],
          },
        ],
      }),
    );
    const leaders = async () =>
      (await admin((client) => client.fetchTopicMetadata({ topics: [topic] }))).topics[0]?.partitions.map(
        ({ partitionId, leader }) => `${partitionId} ${leader}`,
      );
    await expect.poll(leaders).toHaveLength(2);
    const bridge = await startOn(topic);
    const send = async (round: string) => {
      for (let n = 0; n < 12; n++)
        await bridge.post({ search: search(), body: body({ GroupId: `g${n}`, Name: round }) });
    };
    await send('all there');
    await inStep(bridge);
    const before = await counts(topic);
    expect([...before.values()].every((count) => count > 0)).toBe(true);
    const healthy = before.get(0) as number;

    const third = cluster.members[2] as KafkaCluster['members'][number];
    await third.kill();
    onTestFinished(() => third.restart());
    if (second.length === 1) await expect.poll(leaders, { timeout: 30_000 }).toContain('1 -1');
    for (let round = 1; round <= 3; round++) {
      await send(`without it ${round}`);
      // Its groups pass within seconds, while those of the other partition wait.
      await expect.poll(async () => (await counts(topic)).get(0)).toBe(healthy * (round + 1));
    }
    await expect.poll(() => lagOf(bridge)).toBe(3 * (12 - healthy));
    expect((await counts(topic)).get(0)).toBe(healthy * 4);

    await third.restart();
    await inStep(bridge);
    const after = await counts(topic);
    expect(after.get(0)).toBe(healthy * 4);
    // A broker may say "not enough replicas" of records that it has written already.
    expect(after.get(1)).toBeGreaterThanOrEqual((12 - healthy) * 4);
    expect(await bridge.end('SIGTERM')).toBe(0);
  });
});
