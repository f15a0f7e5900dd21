/** Lists of brokers and nodes of which one is enough, whatever way the others have of not being there. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { freePort } from '../servers/index.ts';
import { type BridgeHome, bridgeHome, inStep, runCommand, startBridgeProcess } from '../support/bridge.process.ts';
import { body, search } from '../support/callbacks.ts';

const brokers = inject('kafkaBrokers');
const nodes = inject('elasticsearchUrl');
const skipped = brokers === '' || nodes === '';

/** Takes connections and never answers. */
async function hung(): Promise<string> {
  const server = createServer(() => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}
const dead = async (): Promise<string> => `127.0.0.1:${await freePort()}`;

const REQUEST_TIMEOUT_MS = 2_000;

function homeWith(members: readonly string[]): BridgeHome {
  const name = `members-${randomUUID()}`;
  const rest = { requestTimeoutMs: REQUEST_TIMEOUT_MS };
  const list = (live: string) => members.map((member) => (member === 'live' ? live : member));
  const home = bridgeHome(() => ({
    events: { kind: 'kafka', brokers: list(brokers), topic: name, createTopic: { partitions: 2 }, ...rest },
    index: {
      kind: 'elasticsearch',
      nodes: list(nodes).map((node) => (node.startsWith('http') ? node : `http://${node}`)),
      index: name,
      createIndex: { replicas: 0 },
      ...rest,
    },
  }));
  onTestFinished(home.remove);
  return home;
}

const ORDERS: Readonly<Record<string, readonly ('live' | 'dead' | 'hung')[]>> = {
  'the first is dead': ['dead', 'live'],
  'the first is hung': ['hung', 'live'],
  'only the last lives': ['dead', 'hung', 'dead', 'live'],
  'only the first lives': ['live', 'hung', 'dead'],
};

describe.skipIf(skipped)('one member that works is enough', () => {
  test.each(Object.entries(ORDERS))('%s: a start delivers after one time-out at most', async (_, order) => {
    const members = await Promise.all(order.map((how) => (how === 'live' ? how : { dead, hung }[how]())));
    const home = homeWith(members);
    const bridge = await startBridgeProcess(home);
    const began = performance.now();
    expect((await bridge.post({ search: search(), body: body() })).status).toBe(200);
    await inStep(bridge);
    expect(performance.now() - began).toBeLessThan(10_000 + REQUEST_TIMEOUT_MS);
    expect(await bridge.end('SIGTERM')).toBe(0);
  });

  test.each(Object.entries(ORDERS))('%s: a worker reads, too', async (_, order) => {
    const members = await Promise.all(order.map((how) => (how === 'live' ? brokers : { dead, hung }[how]())));
    const topic = `members.${randomUUID()}`;
    const receiver = bridgeHome(() => ({
      events: { kind: 'kafka', brokers, topic, createTopic: { partitions: 2 } },
    }));
    onTestFinished(receiver.remove);
    const bridge = await startBridgeProcess(receiver);
    expect((await bridge.post({ search: search(), body: body() })).status).toBe(200);
    await inStep(bridge);
    expect(await bridge.end('SIGTERM')).toBe(0);

    const home = bridgeHome((folder) => ({ audit: { kind: 'file', path: join(folder, 'events.ndjson') } }));
    onTestFinished(home.remove);
    const source = { kind: 'kafka', brokers: members, topic, groupId: topic, requestTimeoutMs: REQUEST_TIMEOUT_MS };
    const { app, admin, connectors } = parse(readFileSync(home.configFile, 'utf8'));
    writeFileSync(home.configFile, stringify({ app, admin, connectors, source }));
    const began = performance.now();
    const worker = await startBridgeProcess(home);
    const lines = async () => (await readFile(join(home.folder, 'events.ndjson'), 'utf8').catch(() => '')).split('\n');
    await expect.poll(lines).toHaveLength(2);
    expect(performance.now() - began).toBeLessThan(15_000 + REQUEST_TIMEOUT_MS);
    expect(await worker.end('SIGTERM')).toBe(0);
  });

  test('check --connect is content, and names those that do not answer', async () => {
    const silent = [await dead(), await hung()];
    const home = homeWith([...silent, 'live']);
    const { code, stdout } = await runCommand(['check', '--config', home.configFile, '--connect']);
    for (const member of silent) {
      expect(stdout).toMatch(new RegExp(`! .*brokers.* ${member} does not answer`));
      expect(stdout).toMatch(new RegExp(`! .*nodes.* http://${member} does not answer`));
    }
    expect(code).toBe(0);
  });
});
