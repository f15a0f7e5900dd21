/** What a worker wrote is deleted beneath it: it cannot bring it again, and says so until somebody has. */
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { type BridgeProcess, bridgeHome, startBridgeProcess } from '../support/bridge.process.ts';
import { SDK_APP_ID } from '../support/callbacks.ts';
import { madeEvent } from '../support/events.ts';

const brokers = inject('kafkaBrokers');
const kafka = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING });

async function administer<T>(work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafka.admin();
  await admin.connect();
  return work(admin).finally(() => admin.disconnect());
}

async function produce(topic: string, ...numbers: readonly number[]): Promise<void> {
  const producer = kafka.producer();
  await producer.connect();
  const messages = numbers.map((n) => ({ key: `g${n}`, value: JSON.stringify(madeEvent(n, undefined, `g${n}`)) }));
  await producer.send({ topic, messages }).finally(() => producer.disconnect());
}

interface Standing {
  readonly delivered: number;
  readonly lag: number | null;
  readonly copy?: { readonly incomplete?: { readonly reason: string } };
}
async function standing({ adminUrl }: BridgeProcess): Promise<Standing | undefined> {
  const { connectors } = (await (await fetch(`${adminUrl}/api/status`)).json()) as { connectors: Standing[] };
  return connectors[0];
}

describe.skipIf(brokers === '')('a topic of groups that a worker wrote', () => {
  test('is missed when it has to be made anew, while the worker runs and at its start, and not at the first one', async () => {
    const [topic, copies] = [`test.${randomUUID()}`, `test.${randomUUID()}`];
    const remove = () =>
      administer(async (admin) => {
        await admin.deleteTopics({ topics: [copies] });
        // Until the broker has carried it out, it takes records that are gone a moment later.
        await expect.poll(() => admin.listTopics()).not.toContain(copies);
      });
    await administer((admin) => admin.createTopics({ topics: [{ topic, numPartitions: 1 }] }));
    const home = bridgeHome(() => ({}));
    onTestFinished(home.remove);
    const copy = { kind: 'kafka', brokers, topic: copies, content: 'groups', createTopic: { partitions: 1 } };
    const source = { kind: 'kafka', brokers, topic, sessionTimeoutMs: 6_000 };
    const app = { sdkAppId: SDK_APP_ID };
    writeFileSync(home.configFile, stringify({ app, admin: { port: 0 }, source, connectors: { copy } }));

    const first = await startBridgeProcess(home);
    await produce(topic, 1, 2, 3);
    await expect.poll(() => standing(first)).toMatchObject({ delivered: 3, lag: 0 });
    expect((await standing(first))?.copy).toBeUndefined();
    await remove();
    await produce(topic, 4);
    const incomplete = { copy: { incomplete: { reason: expect.stringContaining(copies) } } };
    await expect.poll(() => standing(first), { timeout: 25_000 }).toMatchObject({ delivered: 4, ...incomplete });
    expect(first.stdout()).toContain(`${topic}, as a member of group-sync-bridge.${topic}\n`);
    expect(first.stderr()).toMatch(
      /incomplete: created the topic .* reset the offsets of group-sync-bridge\.\S+\.copy/,
    );
    expect(await (await fetch(`${first.adminUrl}/metrics`)).text()).toContain(
      'bridge_copy_incomplete{connector="copy"} 1',
    );
    expect(await first.end('SIGTERM')).toBe(0);

    await remove();
    const second = await startBridgeProcess(home);
    await expect.poll(() => standing(second), { timeout: 25_000 }).toMatchObject(incomplete);
    expect(await second.end('SIGTERM')).toBe(0);
  });
});
