/**
 * Invariants 2 and 3 over several machines: receivers with journals of their own write to one topic, workers share its
 * partitions, are killed and join. Each is a process of its own. The oracle shares nothing with src/canon/group.ts.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { type BridgeHome, type BridgeProcess, bridgeHome, startBridgeProcess } from './bridge.process.ts';
import { SDK_APP_ID, search } from './callbacks.ts';
import { disturbed, history, oracle, type Sent } from './convergence.oracle.ts';
import { followTopic } from './servers/readback.ts';

const brokers = inject('kafkaBrokers');
const elasticsearchUrl = inject('elasticsearchUrl');
const skip = brokers === '' || elasticsearchUrl === '' ? ' (skipped: no Kafka or Elasticsearch in this run)' : '';

/** A receiver that writes its events to the topic. */
function receiverHome(topic: string, format: 'structured' | 'binary'): BridgeHome {
  const home = bridgeHome(() => ({
    events: { kind: 'kafka', brokers, topic, format, createTopic: { partitions: 4 } },
  }));
  onTestFinished(home.remove);
  return home;
}

/** A worker; with the quickest notice of a death that Kafka allows. */
function workerHome(topic: string, connectors: Record<string, unknown>): BridgeHome {
  const folder = mkdtempSync(join(tmpdir(), 'worker-'));
  const configFile = join(folder, 'worker.yaml');
  const config = {
    app: { sdkAppId: SDK_APP_ID },
    source: { kind: 'kafka', brokers, topic, groupId: `test.${topic}`, sessionTimeoutMs: 6_000 },
    journal: { file: join(folder, 'groups.db') },
    admin: { port: 0 },
    connectors,
  };
  writeFileSync(configFile, stringify(config));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  onTestFinished(remove);
  return { folder, configFile, remove };
}

interface WorkerStatus {
  connectors: { name: string; lag: number; deadLetters: number; partitions: number[]; state: { kind: string } }[];
}

async function statusOf(worker: BridgeProcess): Promise<WorkerStatus> {
  return (await (await fetch(`${worker.adminUrl}/api/status`)).json()) as WorkerStatus;
}

/** To the receivers in turn; every one must be answered OK. */
async function post(receivers: readonly BridgeProcess[], all: readonly Sent[]): Promise<void> {
  let next = 0;
  const client = async (): Promise<void> => {
    for (let n = next++; n < all.length; n = next++) {
      const { command, body } = all[n] as Sent;
      const receiver = receivers[n % receivers.length] as BridgeProcess;
      const answer = await receiver.post({ search: search({ CallbackCommand: command }), body: JSON.stringify(body) });
      expect(answer.status).toBe(200);
    }
  };
  await Promise.all(Array.from({ length: 8 }, client));
}

const withoutVersions = ({ versions: _, ...group }: Record<string, unknown>) => group;

async function indexed(index: string): Promise<Map<string, Record<string, unknown>>> {
  await fetch(`${elasticsearchUrl}/${index}/_refresh`, { method: 'POST' });
  const response = await fetch(`${elasticsearchUrl}/${index}/_search?size=10000`);
  const { hits } = (await response.json()) as {
    hits?: { hits: { _id: string; _source: Record<string, unknown> }[] };
  };
  return new Map(hits?.hits.map(({ _id, _source }) => [_id, withoutVersions(_source)]));
}

const toIndex = (index: string) => ({
  kind: 'elasticsearch',
  nodes: elasticsearchUrl,
  index,
  createIndex: { replicas: 0 },
  batch: { maxEvents: 50 },
});

describe.skipIf(skip !== '')(`workers${skip}`, () => {
  test('three receivers, two workers, a kill and a third worker in between: both copies are the oracle’s', async () => {
    const all = history('workers', 900, 60);
    const wanted = oracle(all);
    const topic = `test.${randomUUID()}`;
    const groupsTopic = `${topic}.groups`;
    const index = `test-${randomUUID()}`;
    const connectors = {
      index: toIndex(index),
      groups: { kind: 'kafka', brokers, topic: groupsTopic, content: 'groups', createTopic: { partitions: 3 } },
    };
    const receivers = await Promise.all(
      (['structured', 'binary', 'structured'] as const).map((format) =>
        startBridgeProcess(receiverHome(topic, format)),
      ),
    );
    const [doomed, stays] = (await Promise.all(
      [1, 2].map(() => startBridgeProcess(workerHome(topic, connectors))),
    )) as [BridgeProcess, BridgeProcess];
    const parts = disturbed('workers', all);
    const third = Math.floor(parts.length / 3);
    await post(receivers, parts.slice(0, third));
    // Killed in the middle of its work, not before it has any.
    await expect
      .poll(async () => (await statusOf(doomed)).connectors.every(({ partitions }) => partitions.length > 0))
      .toBe(true);
    const going = post(receivers, parts.slice(third, 2 * third));
    await expect.poll(async () => (await indexed(index)).size).toBeGreaterThan(0);
    await doomed.end('SIGKILL');
    await going;
    const joined = await startBridgeProcess(workerHome(topic, connectors));
    await post(receivers, parts.slice(2 * third));

    await expect
      .poll(async () => isDeepStrictEqual(Object.fromEntries(await indexed(index)), Object.fromEntries(wanted)), {
        timeout: 60_000,
      })
      .toBe(true);
    const reader = await followTopic(brokers, groupsTopic);
    const last = (): Record<string, unknown> =>
      Object.fromEntries(
        reader.records.map(({ key, value }) => [key, value === null ? null : withoutVersions(JSON.parse(value))]),
      );
    const states = Object.fromEntries([...wanted].map(([id, group]) => [id, group.destroyed ? null : group]));
    await expect.poll(() => isDeepStrictEqual(last(), states), { timeout: 60_000 }).toBe(true);
    await reader.close();

    // Both that are left have work, and have done it.
    for (const worker of [stays, joined]) {
      await expect
        .poll(async () => (await statusOf(worker)).connectors)
        .toEqual(
          ['index', 'groups'].map((name) =>
            expect.objectContaining({
              name,
              lag: 0,
              deadLetters: 0,
              partitions: [expect.any(Number), expect.any(Number)],
            }),
          ),
        );
      expect(await worker.end('SIGTERM')).toBe(0);
    }
    for (const receiver of receivers) expect(await receiver.end('SIGTERM')).toBe(0);
  }, 120_000);
});
