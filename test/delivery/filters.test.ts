/** A connector's filter says the same on every way to a destination and for every kind that holds groups. */
import { randomUUID } from 'node:crypto';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import type { FilterSettings } from '../../src/delivery/filter.ts';
import { type Group, withoutFields } from '../../src/model/group.ts';
import { followTopic, getDocument, type TopicReader } from '../servers/readback.ts';
import { type BridgeProcess, bridgeHome, runCommand, startBridgeProcess } from '../support/bridge.process.ts';
import { body, COMMAND, search } from '../support/callbacks.ts';

const elasticsearchUrl = inject('elasticsearchUrl');
const brokers = inject('kafkaBrokers');
const skip = elasticsearchUrl === '' || brokers === '' ? ' (skipped: no Kafka or no Elasticsearch in this run)' : '';

/** Two destinations that hold groups, with one filter. */
interface Pair {
  readonly index: string;
  readonly topic: string;
}

function newPair(): Pair {
  const name = `test-${randomUUID()}`;
  onTestFinished(async () => void (await fetch(`${elasticsearchUrl}/${name}`, { method: 'DELETE' })));
  return { index: name, topic: name };
}

/** Their connectors in the YAML: `index` and `topic`, with what `prefix` puts before both names. */
function connectorsOf({ index, topic }: Pair, filter: FilterSettings, prefix = ''): Record<string, unknown> {
  return {
    [`${prefix}index`]: { kind: 'elasticsearch', nodes: elasticsearchUrl, index, createIndex: { replicas: 0 }, filter },
    [`${prefix}topic`]: { kind: 'kafka', brokers, topic, content: 'groups', createTopic: { partitions: 1 }, filter },
  };
}

async function startBridge(connectors: Record<string, unknown>): Promise<BridgeProcess> {
  const home = bridgeHome(() => connectors);
  onTestFinished(home.remove);
  return startBridgeProcess(home);
}

let moment = 1_700_000_000_000;

async function post(bridge: BridgeProcess, GroupId: string, changes: Record<string, unknown>): Promise<void> {
  const { CallbackCommand = COMMAND } = changes as { CallbackCommand?: string };
  const answer = await bridge.post({
    search: search({ CallbackCommand }),
    body: body({ Name: undefined, ...changes, GroupId, EventTime: ++moment }),
  });
  expect(answer.status).toBe(200);
}

async function command(bridge: BridgeProcess, ...args: string[]) {
  return runCommand([...args, '--admin', bridge.adminUrl]);
}

const documentOf = ({ index }: Pair, groupId: string) => getDocument(elasticsearchUrl, index, groupId);

async function deleteDocument({ index }: Pair, groupId: string): Promise<void> {
  const path = `${elasticsearchUrl}/${index}/_doc/${encodeURIComponent(groupId)}`;
  expect((await fetch(path, { method: 'DELETE' })).status).toBe(200);
}

async function follow({ topic }: Pair): Promise<TopicReader> {
  const reader = await followTopic(brokers, topic);
  onTestFinished(() => reader.close());
  return reader;
}

const keysOf = (reader: TopicReader): (string | null)[] => reader.records.map(({ key }) => key);

/** The state that a reader of the topic has of a group. */
function stateIn(reader: TopicReader, groupId: string): Group | undefined {
  const value = reader.records.findLast(({ key }) => key === groupId)?.value;
  return value == null ? undefined : JSON.parse(value);
}

/** The state that the journal has of a group. */
async function journalsState(bridge: BridgeProcess, id: string): Promise<Group> {
  const response = await fetch(`${bridge.adminUrl}/api/group?${new URLSearchParams({ id })}`);
  const { group } = (await response.json()) as { group: Group };
  return group;
}

describe.skipIf(skip !== '')(`the filter of a connector${skip}`, () => {
  test('a group that it leaves out is handed over by no replay from groups and by no comparison', async () => {
    const pair = newPair();
    const bridge = await startBridge(connectorsOf(pair, { groupTypes: ['Public'] }));
    const topic = await follow(pair);
    await post(bridge, 'private', { Name: 'secret', Type: 'Private' });
    await post(bridge, 'public', { Name: 'known', Type: 'Public' });
    await expect.poll(() => documentOf(pair, 'public')).toMatchObject({ name: 'known' });
    await topic.until(({ length }) => length === 1, 'the public group');

    await deleteDocument(pair, 'public');
    expect(await command(bridge, 'replay', 'index', '--from', 'groups')).toMatchObject({
      code: 0,
      stdout: 'wrote 1 group to index\n',
    });
    expect(await documentOf(pair, 'public')).toMatchObject({ name: 'known' });
    expect(await documentOf(pair, 'private')).toBeUndefined();

    await deleteDocument(pair, 'public');
    expect(await command(bridge, 'reconcile', '--against', 'index')).toMatchObject({
      code: 0,
      stdout: 'index: 1 compared, 1 mended, 0 failed\n',
    });
    // Nor is a group compared that is not known: most likely its id is mistyped.
    expect(await command(bridge, 'reconcile', '--against', 'index', '--group', 'public', 'pubilc')).toMatchObject({
      code: 1,
      stdout: 'index: 1 compared, 0 mended, 0 failed; of those named 1 not known, or left out by the filter\n',
    });
    expect(await documentOf(pair, 'public')).toMatchObject({ name: 'known' });
    expect(await documentOf(pair, 'private')).toBeUndefined();

    expect(await command(bridge, 'replay', 'topic', '--from', 'groups')).toMatchObject({ code: 0 });
    await topic.until(({ length }) => length >= 2, 'the public group again');
    const against = await command(bridge, 'reconcile', '--against', 'topic');
    expect(against.code).not.toBe(0);
    expect(against.stderr).toMatch(/topic cannot be compared/);
    // What stands in the topic up to this event is all that the commands wrote.
    await post(bridge, 'public', { Name: 'the end', Type: 'Public' });
    await topic.until(() => stateIn(topic, 'public')?.name === 'the end', 'the event after the commands');
    expect(keysOf(topic)).toEqual(['public', 'public', 'public']);
    await bridge.end('SIGTERM');
  }, 120_000);

  test('a field that it leaves out is written nowhere, also by a replay from groups or a comparison', async () => {
    const pair = newPair();
    const bridge = await startBridge(connectorsOf(pair, { changedFields: ['name'] }));
    const topic = await follow(pair);
    const expectNameAlone = async (name: string, copies: ('index' | 'topic')[]): Promise<void> => {
      const found = { index: await documentOf(pair, 'g'), topic: stateIn(topic, 'g') };
      for (const copy of copies) {
        expect(found[copy], copy).toMatchObject({ name });
        expect(found[copy], copy).not.toHaveProperty('introduction');
        expect(found[copy]?.versions, copy).not.toHaveProperty('introduction');
      }
    };
    await post(bridge, 'g', { Name: 'first', Introduction: 'beside the name' });
    await post(bridge, 'g', { Introduction: 'alone' });
    await post(bridge, 'g', { Name: 'last' });
    await expect.poll(async () => (await documentOf(pair, 'g'))?.name).toBe('last');
    await topic.until(() => stateIn(topic, 'g')?.name === 'last', 'the last name');
    await expectNameAlone('last', ['index', 'topic']);
    expect(await journalsState(bridge, 'g')).toMatchObject({ introduction: 'alone' });

    const before = topic.records.length;
    await deleteDocument(pair, 'g');
    expect(await command(bridge, 'replay', 'index', '--from', 'groups')).toMatchObject({ code: 0 });
    expect(await command(bridge, 'replay', 'topic', '--from', 'groups')).toMatchObject({ code: 0 });
    await topic.until(({ length }) => length > before, 'the group again');
    await expectNameAlone('last', ['index', 'topic']);

    await deleteDocument(pair, 'g');
    expect(await command(bridge, 'reconcile', '--against', 'index')).toMatchObject({ code: 0 });
    await expectNameAlone('last', ['index']);
    await bridge.end('SIGTERM');
  }, 120_000);

  test('an index and a topic of groups hold the same fields, whichever criterion there is', async () => {
    const filters: Record<string, FilterSettings> = {
      types: { types: ['chat.group.info.changed'] },
      fields: { changedFields: ['name'] },
      kinds: { groupTypes: ['Public'] },
      ids: { groupIds: ['in*'] },
    };
    const names = Object.keys(filters);
    const pairs = new Map(names.map((name) => [name, newPair()] as const));
    const bridge = await startBridge(
      Object.assign({}, ...names.map((name) => connectorsOf(pairs.get(name) as Pair, filters[name] ?? {}, `${name}-`))),
    );
    const readers = new Map(
      await Promise.all(Array.from(pairs, async ([name, pair]) => [name, await follow(pair)] as const)),
    );
    const copiesOf = async (name: string, groupId: string) => ({
      index: await documentOf(pairs.get(name) as Pair, groupId),
      topic: stateIn(readers.get(name) as TopicReader, groupId),
    });
    /** What both are to hold: everything, but for the fields that `changedFields` does not name. */
    const expected = async (name: string, groupId: string) => {
      const group = await journalsState(bridge, groupId);
      if (name === 'fields') return withoutFields(group, ['introduction', 'notification', 'faceUrl', 'customFields']);
      return name === 'ids' && !groupId.startsWith('in') ? undefined : group;
    };

    for (const group of ['in', 'out']) {
      // Each of these is for some and not for others; the last one is for all, and brings what the others set.
      await post(bridge, group, { CallbackCommand: 'Group.CallbackAfterCreateGroup', Owner_Account: 'o', Name: 'a' });
      await post(bridge, group, { Introduction: 'i', UserDefinedDataList: [{ Key: 'k', Value: 'v' }] });
      await post(bridge, group, { Notification: 'n', Type: 'Private' });
      await post(bridge, group, { CallbackCommand: 'Group.CallbackAfterChangeGroupOwner', NewOwner_Account: 'p' });
      await post(bridge, group, { Name: 'b', FaceUrl: 'f' });
    }
    await post(bridge, 'in', { Name: 'the end' });
    const through = async (name: string) => {
      const { index, topic } = await copiesOf(name, 'in');
      return [index?.name, topic?.name];
    };
    for (const name of names) await expect.poll(() => through(name)).toEqual(['the end', 'the end']);
    for (const name of names) {
      for (const group of ['in', 'out']) {
        const state = await expected(name, group);
        expect(await copiesOf(name, group), `${name}, ${group}`).toEqual({ index: state, topic: state });
      }
    }

    // After these, excluded by one filter each, a replay from groups brings both up to the journal.
    await post(bridge, 'in', { Introduction: 'late' });
    await post(bridge, 'in', { CallbackCommand: 'Group.CallbackAfterChangeGroupOwner', NewOwner_Account: 'late' });
    for (const name of names) {
      const reader = readers.get(name) as TopicReader;
      await deleteDocument(pairs.get(name) as Pair, 'in');
      const [index, topic] = await Promise.all(
        ['index', 'topic'].map((kind) => command(bridge, 'replay', `${name}-${kind}`, '--from', 'groups')),
      );
      expect([index?.code, topic?.code], `${index?.stderr}${topic?.stderr}`).toEqual([0, 0]);
      const states = { in: await expected(name, 'in'), out: await expected(name, 'out') };
      await reader.until(() => stateIn(reader, 'in')?.owner === 'late', `the late owner for ${name}`);
      for (const [group, state] of Object.entries(states)) {
        expect(await copiesOf(name, group), `${name}, ${group}`).toEqual({ index: state, topic: state });
      }
    }
    await bridge.end('SIGTERM');
  }, 120_000);
});
