/**
 * Invariant 3 on real servers: several bridges, shuffled and repeated callbacks, a kill in the middle. The oracle shares
 * nothing with src/model/group.ts.
 */
import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, inject, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { eventually, followTopic, getDocument, getDocuments } from '../servers/readback.ts';
import { type BridgeProcess, bridgeHome, inStep, runCommand, startBridgeProcess } from '../support/bridge.process.ts';
import { COMMAND, search } from '../support/callbacks.ts';
import { COMMANDS, disturbed, history, oracle, type Sent, sent } from './convergence.oracle.ts';

const brokers = inject('kafkaBrokers');
const elasticsearchUrl = inject('elasticsearchUrl');
const skip = brokers === '' || elasticsearchUrl === '' ? ' (skipped: no Kafka or Elasticsearch in this run)' : '';

/** Posts with several connections at once; resolves with those that were not answered OK. */
async function post(bridge: BridgeProcess, all: readonly Sent[], connections = 16): Promise<Sent[]> {
  const failed: Sent[] = [];
  let next = 0;
  const client = async (): Promise<void> => {
    for (let one = all[next++]; one !== undefined; one = all[next++]) {
      const answer = await bridge
        .post({ search: search({ CallbackCommand: one.command }), body: JSON.stringify(one.body) })
        .catch(() => ({ status: 0 }));
      if (answer.status !== 200) failed.push(one);
    }
  };
  await Promise.all(Array.from({ length: connections }, client));
  return failed;
}

const withoutVersions = ({ versions: _, ...group }: Record<string, unknown>) => group;

const indexed = (index: string) => getDocuments(elasticsearchUrl, index);

/** The last value of each key of a topic. */
async function compacted(topic: string, done: (last: ReadonlyMap<string, string | null>) => boolean) {
  const reader = await followTopic(brokers, topic);
  const last = (): Map<string, string | null> => new Map(reader.records.map(({ key, value }) => [key ?? '', value]));
  await reader.until(() => done(last()), 'the right last value of each key', 30_000);
  await reader.close();
  return last();
}

describe.skipIf(skip !== '')(`copies converge${skip}`, () => {
  test('two bridges on one index, shuffled and repeated callbacks, a kill in the middle: the oracle’s groups; replays change nothing', async () => {
    const seed = 'two bridges';
    const all = history(seed, 5_000, 300);
    const wanted = oracle(all);
    const index = `test-${randomUUID()}`;
    const es = {
      kind: 'elasticsearch',
      nodes: elasticsearchUrl,
      index,
      createIndex: { replicas: 0 },
      batch: { maxEvents: 200 },
    };
    const homes = [bridgeHome(() => ({ index: es })), bridgeHome(() => ({ index: es }))] as const;
    const [left, doomed] = (await Promise.all(homes.map((home) => startBridgeProcess(home)))) as [
      BridgeProcess,
      BridgeProcess,
    ];

    const parts = disturbed(seed, all);
    const middle = parts.length >> 1;
    const [mine, theirs] = [parts.slice(0, middle), parts.slice(middle)];
    const first = post(left, mine);
    expect(await post(doomed, theirs.slice(0, theirs.length >> 1))).toEqual([]);
    await doomed.end('SIGKILL');
    const right = await startBridgeProcess(homes[1]);
    expect(await post(right, theirs.slice(theirs.length >> 1))).toEqual([]);
    expect(await first).toEqual([]);
    await Promise.all([inStep(left), inStep(right)]);

    const compare = async (): Promise<Map<string, Record<string, unknown>>> => {
      const found = await indexed(index);
      expect(found.size).toBe(wanted.size);
      for (const [groupId, group] of wanted) expect(withoutVersions(found.get(groupId) ?? {})).toEqual(group);
      return found;
    };
    const before = await compare();
    for (const bridge of [left, right]) {
      expect((await runCommand(['replay', 'index', '--from', 'beginning', '--admin', bridge.adminUrl])).code).toBe(0);
    }
    expect(await compare()).toEqual(before);
    for (const bridge of [left, right]) expect(await bridge.end('SIGTERM')).toBe(0);
    for (const home of homes) home.remove();
  });

  test('the compacted topic, last value per key, is the oracle’s; a destroyed group is a tombstone', async () => {
    const seed = 'compacted';
    const all = history(seed, 3_000, 200);
    const topic = `test.${randomUUID()}`;
    const home = bridgeHome(() => ({
      groups: { kind: 'kafka', brokers, topic, content: 'groups', createTopic: { partitions: 3 } },
    }));
    const bridge = await startBridgeProcess(home);
    expect(await post(bridge, disturbed(seed, all))).toEqual([]);
    await inStep(bridge);
    const wanted = oracle(all);
    const stateOf = (found: ReadonlyMap<string, string | null>, groupId: string): unknown => {
      const value = found.get(groupId);
      return typeof value === 'string' ? withoutVersions(JSON.parse(value)) : value;
    };
    const last = await compacted(topic, (found) =>
      [...wanted].every(([groupId, group]) =>
        isDeepStrictEqual(stateOf(found, groupId), group.destroyed ? null : group),
      ),
    );
    expect([...last.keys()].sort()).toEqual([...wanted.keys()].sort());
    expect([...wanted.values()].some(({ destroyed }) => destroyed)).toBe(true);
    expect(await bridge.end('SIGTERM')).toBe(0);
    home.remove();
  });

  test('a hot group is folded: fewer than 0.05 writes an event', async () => {
    const index = `test-${randomUUID()}`;
    const home = bridgeHome(() => ({
      index: { kind: 'elasticsearch', nodes: elasticsearchUrl, index, createIndex: { replicas: 0 } },
    }));
    const bridge = await startBridgeProcess(home);
    const start = Date.now() - 1_000_000;
    const hot = Array.from({ length: 4_000 }, (_, n) =>
      sent(COMMAND, { GroupId: 'hot', EventTime: start + n, Type: 'Public', Operator_Account: 'x', Name: `${n}` }),
    );
    expect(await post(bridge, hot)).toEqual([]);
    await inStep(bridge);
    expect(await getDocument(elasticsearchUrl, index, 'hot')).toMatchObject({ name: '3999' });
    const { _version: writes } = (await (await fetch(`${elasticsearchUrl}/${index}/_doc/hot`)).json()) as {
      _version: number;
    };
    expect(writes / hot.length).toBeLessThan(0.05);
    expect(await bridge.end('SIGTERM')).toBe(0);
    home.remove();
  });

  test('onDestroyed: delete takes the document away, a late change does not bring it back, a later creation does', async () => {
    const index = `test-${randomUUID()}`;
    const home = bridgeHome(() => ({
      index: {
        kind: 'elasticsearch',
        nodes: elasticsearchUrl,
        index,
        createIndex: { replicas: 0 },
        onDestroyed: 'delete',
      },
    }));
    const bridge = await startBridgeProcess(home);
    const at = Date.now() - 1_000_000;
    const common = { GroupId: 'g', Type: 'Public', Operator_Account: 'x' };
    const step = async (command: string, body: Record<string, unknown>): Promise<unknown> => {
      expect(await post(bridge, [sent(command, { ...common, ...body } as unknown as Sent['body'])])).toEqual([]);
      await inStep(bridge);
      return getDocument(elasticsearchUrl, index, 'g');
    };
    expect(await step(COMMAND, { EventTime: at, Name: 'first' })).toMatchObject({ name: 'first' });
    expect(await step(COMMANDS.destroyed, { EventTime: at + 10 })).toBe(undefined);
    expect(await step(COMMAND, { EventTime: at + 5, Name: 'late' })).toBe(undefined);
    expect(await step(COMMAND, { EventTime: at + 20, Name: 'after the end' })).toBe(undefined);
    expect(await step(COMMANDS.created, { EventTime: at + 30, Name: 'second' })).toMatchObject({
      name: 'second',
      destroyed: false,
    });
    expect(await bridge.end('SIGTERM')).toBe(0);
    home.remove();
  });

  test('an index is rebuilt into a new one and its alias switched while callbacks go on, with nothing lost', async () => {
    const seed = 'rebuilt';
    const all = history(seed, 2_000, 150);
    const alias = `test-${randomUUID()}`;
    const es = { kind: 'elasticsearch', nodes: elasticsearchUrl, createIndex: { replicas: 0 } };
    const request = async (method: string, path: string, body?: unknown): Promise<void> => {
      const init = { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
      const response = await fetch(`${elasticsearchUrl}/${path}`, init);
      expect(response.ok, await response.text()).toBe(true);
    };
    // Delivered events are pruned at once, so that only the merged groups can bring the old ones back.
    const journal = { keepDelivered: '0s' };
    const home = bridgeHome(() => ({ index: { ...es, index: `${alias}-1` } }), { journal });
    const before = await startBridgeProcess(home);
    expect(await post(before, all.slice(0, 1_000))).toEqual([]);
    await inStep(before);
    await request('POST', '_aliases', { actions: [{ add: { index: `${alias}-1`, alias } }] });
    await eventually(async () => expect(before.stderr()).toContain('pruned delivered events'), 'pruning');
    expect(await before.end('SIGTERM')).toBe(0);

    const config = parse(await readFile(home.configFile, 'utf8'));
    config.connectors.rebuilt = { ...es, index: `${alias}-2` };
    config.connectors.index.index = alias;
    await writeFile(home.configFile, stringify(config));
    const bridge = await startBridgeProcess(home);
    const going = post(bridge, all.slice(1_000), 4);
    const replayed = await runCommand(['replay', 'rebuilt', '--from', 'groups', '--admin', bridge.adminUrl]);
    expect(replayed).toMatchObject({ code: 0, stdout: expect.stringMatching(/^wrote \d+ groups to rebuilt\n$/) });
    await request('POST', '_aliases', {
      actions: [{ remove: { index: `${alias}-1`, alias } }, { add: { index: `${alias}-2`, alias } }],
    });
    expect(await going).toEqual([]);
    await inStep(bridge);
    const wanted = oracle(all);
    const found = await indexed(alias);
    expect(found.size).toBe(wanted.size);
    for (const [groupId, group] of wanted) expect(withoutVersions(found.get(groupId) ?? {})).toEqual(group);

    const events = await runCommand(['replay', 'index', '--from', 'groups', '--admin', bridge.adminUrl]);
    expect(events.code).toBe(0);
    expect(await indexed(alias)).toEqual(found);
    expect(await bridge.end('SIGTERM')).toBe(0);
    home.remove();
  });

  test('the query of docs/how-to/read.md finds who changed a notice, and when, also where it was cleared', async () => {
    const page = await readFile('docs/how-to/read.md', 'utf8');
    const query = /POST chat-group-events\/_search\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
    const index = `test-${randomUUID()}`;
    const home = bridgeHome(() => ({
      history: {
        kind: 'elasticsearch',
        nodes: elasticsearchUrl,
        index,
        content: 'events',
        createIndex: { replicas: 0 },
      },
    }));
    const bridge = await startBridgeProcess(home);
    const changes = ['first notice', undefined, '', 'x'.repeat(9_000)];
    for (const [n, Notification] of changes.entries()) {
      const body = {
        GroupId: '@TGS#2J4SZEAEL',
        EventTime: 1_700_000_000_000 + n,
        Type: 'Public',
        Operator_Account: `user ${n}`,
        Name: `${n}`,
        Notification,
      };
      expect(await post(bridge, [sent(COMMAND, body)])).toEqual([]);
    }
    await inStep(bridge);
    await fetch(`${elasticsearchUrl}/${index}/_refresh`, { method: 'POST' });
    const response = await fetch(`${elasticsearchUrl}/${index}/_search`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: query,
    });
    const { hits } = (await response.json()) as {
      hits: { hits: { _source: { time: string; data: { operator: string } } }[] };
    };
    expect(hits.hits.map(({ _source }) => _source.data.operator)).toEqual(['user 3', 'user 2', 'user 0']);
    expect(hits.hits[0]?._source.time).toBe('2023-11-14T22:13:20.003Z');
    expect(await bridge.end('SIGTERM')).toBe(0);
    home.remove();
  });
});
