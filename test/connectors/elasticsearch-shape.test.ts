/** An index that was there before, with other names and fields of others, and how it is kept in step. */
import { afterAll, describe, expect, test } from 'vitest';
import type { GroupSink } from '../../connectors/contract.ts';
import { readNewIndex } from '../../connectors/elasticsearch/new-index.ts';
import { elasticsearchOptions } from '../../connectors/elasticsearch/options.ts';
import { type Configured, openSink } from '../../connectors/index.ts';
import { deliver } from '../../src/delivery/deliver.ts';
import { compileFilter } from '../../src/delivery/filter.ts';
import { entryOf } from '../../src/model/entry.ts';
import { type CanonicalEvent, sourceOf } from '../../src/model/event.ts';
import { type Group, merge, newGroup } from '../../src/model/group.ts';
import { compileShape, shapeSettings } from '../../src/model/shape.ts';
import { deleteIndices, documents, hits, mappingOf, must, newIndex, skip, url } from './elasticsearch.oracle.ts';
import { makeEvent, never, testHost } from './suite.ts';

const shape = shapeSettings.parse({
  fields: { name: 'group_name', notification: 'notice.text', 'customFields.color': 'colour' },
  omit: ['introduction', 'lastOperator'],
  constants: { 'notice.kind': 'group' },
  id: 'tim-{groupId}',
  times: 'epochSeconds',
  versions: '_sync',
});

const KEYWORD = { type: 'keyword' };
const MAPPING = {
  dynamic: 'strict',
  properties: {
    group_name: KEYWORD,
    notice: { properties: { text: KEYWORD, lang: KEYWORD } },
    members: { type: 'long' },
  },
};

/** An index of others, with two documents in it: one of a group that the bridge will know, one of none. */
async function indexOfOthers(): Promise<string> {
  const index = newIndex();
  await must('PUT', `/${index}`, { settings: { number_of_replicas: 0 }, mappings: MAPPING });
  await must('PUT', `/${index}/_doc/tim-g0`, { group_name: 'theirs', notice: { text: 'old', lang: 'en' }, members: 7 });
  await must('PUT', `/${index}/_doc/other`, { group_name: 'no group', members: 1 });
  return index;
}

async function open(index: string): Promise<GroupSink> {
  const options = { nodes: [url], index, content: 'groups', createIndex: false, onDestroyed: 'mark', shape };
  const parsed = { ...options, dataStream: false, requestTimeoutMs: 30_000, batch: { maxBytes: 8_000_000 } };
  const sink = await openSink({ kind: 'elasticsearch', ...parsed } as Configured, testHost(), never());
  if (sink.holds !== 'groups') throw new TypeError('groups are expected');
  return sink;
}

const filter = compileFilter({}, shape);

/** Delivers as the engine does; what is to be tried again is tried again. */
async function bring(sink: GroupSink, events: readonly CanonicalEvent[]): Promise<void> {
  let left = events.map((event, index) => entryOf(index, event));
  while (left.length > 0) {
    const outcomes = await deliver(sink, left, { get: () => undefined }, filter, never());
    left = left.filter(({ id }) => outcomes.get(id)?.kind === 'retry' || outcomes.get(id) === undefined);
  }
}

const changes = Array.from({ length: 60 }, (_, n) =>
  makeEvent(
    {
      ...(n % 2 === 0 ? { name: `name ${n}` } : { notification: `notice ${n}` }),
      ...(n % 3 === 0 && { customFields: { color: `c${n}`, size: `s${n}` } }),
      ...(n % 5 === 0 && { introduction: 'left out' }),
    },
    { groupId: `g${n % 5}` },
  ),
);

/** The oracle: all events in one state, in the shape. */
function expected(): Map<string, Group> {
  const states = new Map<string, Group>();
  for (const event of changes)
    states.set(event.subject, merge(states.get(event.subject) ?? newGroup(event.subject), event));
  return states;
}

afterAll(deleteIndices);

describe.skipIf(skip !== '')('an index of others', () => {
  test('two bridges at once keep it in step, and leave the fields of others alone', async () => {
    const index = await indexOfOthers();
    const [one, other] = await Promise.all([open(index), open(index)]);
    const shuffled = changes.toSorted((a, b) => (a.id < b.id ? -1 : 1));
    const halves = [shuffled.slice(0, 40), shuffled.slice(20).toReversed()];
    const batches = (half: readonly CanonicalEvent[]) =>
      Array.from({ length: Math.ceil(half.length / 10) }, (_, n) => half.slice(n * 10, n * 10 + 10));
    await Promise.all(
      [one, other].map(async (sink, n) => {
        for (const batch of batches(halves[n] ?? [])) await bring(sink, batch);
      }),
    );

    const { out } = compileShape(shape, 'groups', sourceOf('1400701118'));
    const found = await documents(index);
    for (const [groupId, state] of expected()) {
      const theirs = groupId === 'g0' ? { members: 7, notice: { lang: 'en' } } : {};
      expect(found.get(`tim-${groupId}`)).toEqual(out(filter.project(state), theirs));
    }
    expect(found.get('other')).toEqual({ group_name: 'no group', members: 1 });
    expect(found.size).toBe(6);
    expect(JSON.stringify([...found.values()])).not.toContain('left out');

    const states = [...expected().values()].map(filter.project);
    const copies = await one.read?.(states, never());
    expect([...(copies?.values() ?? [])].map(({ status }) => status)).toEqual(states.map(() => 'in-step'));
    expect(copies?.get('g1')?.where).toBe(`${index}/_doc/tim-g1`);
    await Promise.all([one.close(), other.close()]);
  });

  test('what it lacks is added to its mapping, the versions not indexed; what somebody changed is found and repaired', async () => {
    const index = await indexOfOthers();
    const sink = await open(index);
    expect(await mappingOf(index)).toMatchObject({
      properties: {
        ...MAPPING.properties,
        _sync: { type: 'object', enabled: false },
        notice: { properties: { kind: { type: 'keyword' }, text: KEYWORD, lang: KEYWORD } },
        updatedAt: { type: 'date', format: 'epoch_second' },
        colour: { type: 'keyword' },
      },
    });
    const event = makeEvent({ name: 'A', notification: 'N', customFields: { color: 'red' } }, { groupId: 'g0' });
    await bring(sink, [event]);
    const state = filter.project(merge(newGroup('g0'), event));
    const change = { doc: { group_name: 'changed', notice: { kind: 'changed', lang: 'de' }, colour: 'blue' } };
    await must('POST', `/${index}/_update/tim-g0`, change);
    expect((await sink.read?.([state], never()))?.get('g0')?.differs?.toSorted()).toEqual([
      ...['customFields.color', 'name', 'notice.kind'],
    ]);
    expect((await sink.put([state], 'compare', never())).get('g0')?.kind).toBe('delivered');
    await sink.put([state], 'repair', never());
    const [held] = (await hits(index)).filter(({ _id }) => _id === 'tim-g0');
    expect(held?._source).toMatchObject({
      group_name: 'A',
      colour: 'red',
      notice: { text: 'N', kind: 'group', lang: 'de' },
    });
    expect((await sink.put([state], 'repair', never())).get('g0')?.kind).toBe('superseded');
    await sink.close();
  });
});

test('a new index has the mapping of the shape', async () => {
  const options = elasticsearchOptions.parse({ nodes: ['http://h:9200'], index: 'i' });
  const place = { name: 'copy', options, product: 'Elasticsearch' };
  const created = await readNewIndex(place, 'urn', compileShape(shape, 'groups'));
  const keyword = { type: 'keyword', ignore_above: 8191 };
  const text = { type: 'text', fields: { keyword } };
  expect(created?.mappings?.properties).toEqual({
    groupId: keyword,
    source: keyword,
    groupType: keyword,
    group_name: text,
    notice: { properties: { text, kind: keyword } },
    faceUrl: keyword,
    customFields: { type: 'flattened', ignore_above: 4096 },
    colour: keyword,
    owner: keyword,
    updatedAt: { type: 'date', format: 'epoch_second' },
    destroyed: { type: 'boolean' },
    _sync: { type: 'object', enabled: false },
  });
});
