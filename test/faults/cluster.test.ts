/** Three brokers of which one is lost: the others go on. The long run with nodes, too, is `npm run test:faults -- --cluster`. */
import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { leaveOutLeaderless } from '../../connectors/kafka/leaders.ts';
import { partitionOf } from '../../connectors/kafka/message.ts';
import { type KafkaCluster, missingPrerequisite, startKafkaCluster } from '../servers/index.ts';
import { type BridgeProcess, bridgeHome, inStep, startBridgeProcess } from '../support/bridge.process.ts';
import { body, SDK_APP_ID, search } from '../support/callbacks.ts';

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

  const on = (topic: string) => ({
    kind: 'kafka',
    brokers: cluster.addresses,
    topic,
    createTopic: false,
    requestTimeoutMs: 4_000,
    retry: { initialMs: 100, maxMs: 500 },
  });

  function homeOf(...given: Parameters<typeof bridgeHome>) {
    const home = bridgeHome(...given);
    onTestFinished(home.remove);
    return home;
  }

  async function make(topic: string, replicas: readonly number[][], config: Record<string, string>): Promise<void> {
    await admin((client) =>
      client.createTopics({
        waitForLeaders: false,
        topics: [
          {
            topic,
            // kafkajs asks for these two although the assignment says them.
            numPartitions: -1,
            replicationFactor: -1,
            replicaAssignment: replicas.map((replicas, partition) => ({ partition, replicas })),
            configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
          },
        ],
      }),
    );
    await expect.poll(() => leadersOf(topic)).toHaveLength(replicas.length);
  }
  const leadersOf = async (topic: string) =>
    (await admin((client) => client.fetchTopicMetadata({ topics: [topic] }))).topics[0]?.partitions.map(
      ({ partitionId, leader }) => `${partitionId} ${leader}`,
    );

  async function loseThird() {
    const third = cluster.members[2] as KafkaCluster['members'][number];
    await third.kill();
    onTestFinished(() => third.restart());
    return third;
  }

  test.each([
    ['below min.insync.replicas', [1, 2], [1, 3]],
    ['without a leader', [1], [3]],
  ])('a partition %s repeats no record of another, and only its own groups wait', async (_, first, second) => {
    const topic = `test.${randomUUID()}`;
    await make(topic, [first, second], { 'min.insync.replicas': String(first.length) });
    const bridge = await startBridgeProcess(homeOf(() => ({ events: on(topic) })));
    const send = async (round: string) => {
      for (let n = 0; n < 12; n++)
        await bridge.post({ search: search(), body: body({ GroupId: `g${n}`, Name: round }) });
    };
    await send('all there');
    await inStep(bridge);
    const before = await counts(topic);
    expect([...before.values()].every((count) => count > 0)).toBe(true);
    const healthy = before.get(0) as number;

    const third = await loseThird();
    if (second.length === 1) await expect.poll(() => leadersOf(topic), { timeout: 30_000 }).toContain('1 -1');
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

  test('a partition without a leader holds up no restart, no new worker and no later batch, and is not verified', async () => {
    const [topic, compacted] = [`events.${randomUUID()}`, `groups.${randomUUID()}`];
    await make(topic, [[1], [3]], {});
    await make(compacted, [[1], [3]], { 'cleanup.policy': 'compact' });
    const verify = { every: '2s' };
    const home = homeOf(() => ({
      events: { ...on(topic), batch: { maxEvents: 1 }, verify },
      groups: { ...on(compacted), content: 'groups', verify },
    }));
    const groups = Array.from({ length: 12 }, (_, n) => `g${n}`);
    const healthy = groups.filter((id) => partitionOf(id, 2) === 0).length;
    const sickFirst = groups.toSorted((one, other) => partitionOf(other, 2) - partitionOf(one, 2));
    const send = async (bridge: BridgeProcess, Name: string) => {
      for (const GroupId of sickFirst) await bridge.post({ search: search(), body: body({ GroupId, Name }) });
    };
    const verified = async ({ adminUrl }: BridgeProcess): Promise<number[]> => {
      const { connectors } = (await (await fetch(`${adminUrl}/api/status`)).json()) as {
        connectors: { copy: { verifiedAt?: number } }[];
      };
      return connectors.map(({ copy }) => copy.verifiedAt ?? 0);
    };
    const before = await startBridgeProcess(home);
    await send(before, 'all there');
    await inStep(before);

    const third = await loseThird();
    await expect.poll(() => leadersOf(topic), { timeout: 30_000 }).toContain('1 -1');
    const lostAt = Date.now();
    expect(await before.end('SIGTERM')).toBe(0);
    const after = await startBridgeProcess(home);
    const workers = homeOf(() => ({}));
    const config = {
      app: { sdkAppId: SDK_APP_ID },
      source: { kind: 'kafka', brokers: cluster.addresses.slice(0, 2), topic, sessionTimeoutMs: 6_000 },
      admin: { port: 0 },
      connectors: { file: { kind: 'file', path: join(workers.folder, 'out.ndjson') } },
    };
    writeFileSync(workers.configFile, stringify(config));
    const worker = await startBridgeProcess(workers);
    const written = () => readFileSync(join(workers.folder, 'out.ndjson'), 'utf8').split('\n').length - 1;
    await expect.poll(written, { timeout: 10_000 }).toBe(healthy);
    await send(after, 'without it');
    await expect.poll(async () => (await counts(topic)).get(0), { timeout: 10_000 }).toBe(2 * healthy);
    await expect.poll(async () => (await counts(compacted)).get(0)).toBe(2 * healthy);
    await expect.poll(written, { timeout: 10_000 }).toBe(2 * healthy);
    await delay(4_000);
    expect((await verified(after)).every((at) => at < lostAt)).toBe(true);
    expect(after.stderr()).toContain(`not compared: partition 1 of ${compacted} has no leader`);
    expect(after.stderr()).not.toContain('waiting, nothing is lost');

    await third.restart();
    await inStep(after);
    await expect.poll(written, { timeout: 30_000 }).toBe(2 * groups.length);
    await expect.poll(async () => (await verified(after)).every((at) => at > lostAt), { timeout: 30_000 }).toBe(true);
    expect([await after.end('SIGTERM'), await worker.end('SIGTERM')]).toEqual([0, 0]);
  });
});
