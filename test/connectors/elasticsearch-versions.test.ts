/** `shape.versionsIndex`: an index of others that takes no foreign field, and the index beside it. */
import { afterAll, describe, expect, test } from 'vitest';
import type { Finding, GroupSink, Host } from '../../connectors/contract.ts';
import { elasticsearch } from '../../connectors/elasticsearch/connector.ts';
import { type ElasticsearchOptions, elasticsearchOptions } from '../../connectors/elasticsearch/options.ts';
import { deliver } from '../../src/delivery/deliver.ts';
import { compileFilter } from '../../src/delivery/filter.ts';
import { entryOf } from '../../src/model/entry.ts';
import { type CanonicalEvent, groupEvent } from '../../src/model/event.ts';
import { type Group, merge, newGroup } from '../../src/model/group.ts';
import { compileShape, type ShapeSettings, shapeSettings } from '../../src/model/shape.ts';
import { createRandom } from '../faults/random.ts';
import {
  deleteIndices,
  documents,
  frontNode,
  hits,
  type IndexPlace,
  keyword,
  MAPPINGS,
  mappingOf,
  must,
  newIndex,
  searchable,
  skip,
  skipped,
  url,
} from './elasticsearch.oracle.ts';
import { connectorSuite, foundInGroup, makeEvent, never, testHost, unreachableBy } from './suite.ts';

const besideOf = (index: string): string => `${index}-versions`;

/** The connector as the bridge opens it with this shape. */
function shaped(settings: Partial<ShapeSettings> = {}): typeof elasticsearch {
  const hostOf = ({ index }: ElasticsearchOptions, host: Host): Host => {
    const shape = shapeSettings.parse({ ...settings, versionsIndex: besideOf(index) });
    return { ...host, shape: compileShape(shape, 'groups', host.source) };
  };
  return {
    ...elasticsearch,
    open: (options, host, signal) => elasticsearch.open(options, hostOf(options, host), signal),
    examine: (options, host, signal) => elasticsearch.examine(options, hostOf(options, host), signal),
  };
}

const { versions: _, ...properties } = MAPPINGS.groups.properties;

/** Indices that are taken again once they are empty: to make two for each case would take longer than the cases. */
const free: string[] = [];

/** An index that takes exactly the fields of a group but for the versions. */
async function strictPlace(more?: object): Promise<IndexPlace> {
  const again = more === undefined ? free.pop() : undefined;
  const index = again ?? newIndex();
  const beside = again === undefined ? newIndex(besideOf(index)) : besideOf(again);
  const mappings = { dynamic: 'strict', properties: { ...properties, ...more } };
  if (again === undefined) await must('PUT', `/${index}`, { settings: { number_of_replicas: 0 }, mappings });
  const versionsOf = async () =>
    new Map(Array.from(await documents(beside), ([groupId, { versions }]) => [groupId, versions]));
  return {
    index,
    options: { nodes: [url], index, createIndex: false },
    async readBack() {
      const [found, versions] = [await hits(index), await versionsOf()];
      return found.flatMap(({ _id, _index, _seq_no, _source }) =>
        foundInGroup({ ...(_source as Group), versions: versions.get(_id) ?? {} }, `${_index}/${_id}@${_seq_no}`),
      );
    },
    copies: {
      where: (groupId) => `${index}/_doc/${groupId}`,
      async state(groupId) {
        const held = (await documents(index)).get(groupId);
        return held && { ...held, versions: (await versionsOf()).get(groupId) ?? {} };
      },
      async overwrite(groupId, state) {
        const path = `/${index}/_doc/${groupId}`;
        if (state === undefined) await must('DELETE', path);
        else await must('PUT', path, { ...state, versions: undefined });
      },
    },
    async dispose() {
      if (more !== undefined) return;
      for (const one of [index, beside]) {
        const paths = (await hits(one)).map(({ _id }) => `/${one}/_doc/${encodeURIComponent(_id)}`);
        await Promise.all(paths.map((path) => must('DELETE', path)));
      }
      free.push(index);
    },
  };
}

afterAll(deleteIndices);

connectorSuite({
  name: 'elasticsearch, versions in an index of their own',
  connector: shaped(),
  keeps: 'the latest of a group',
  // The plain one runs there as well.
  skip: searchable ? skip : 'this is OpenSearch',
  place: strictPlace,
  unreachable: async () => ({ nodes: ['http://127.0.0.1:1'], index: 'any' }),
  poison: {
    reason: /(document|mapper)_parsing_exception.*failed to parse field \[name\] of type \[date\]/,
    event: (groupId) => makeEvent({ name: 'no date' }, { groupId }),
    place: () => strictPlace({ name: { type: 'date' } }),
  },
});

/** What others have: names of their own, and no field for anything else. */
const SHAPE: Partial<ShapeSettings> = {
  fields: { name: 'group_name', notification: 'notice.text' },
  omit: [
    'groupId',
    'source',
    'groupType',
    'introduction',
    'faceUrl',
    'owner',
    'lastOperator',
    'updatedAt',
    'destroyed',
  ],
  id: 'tim-{groupId}',
};
const THEIRS = {
  dynamic: 'strict',
  properties: {
    group_name: keyword,
    notice: { properties: { text: keyword, lang: keyword } },
    customFields: properties.customFields,
    members: { type: 'long' },
  },
};
const filter = compileFilter({}, shapeSettings.parse({ ...SHAPE, versionsIndex: 'any' }));

async function indexOfOthers(): Promise<string> {
  const index = newIndex();
  newIndex(besideOf(index));
  await must('PUT', `/${index}`, { settings: { number_of_replicas: 0 }, mappings: THEIRS });
  await must('PUT', `/${index}/_doc/tim-g0`, { group_name: 'theirs', notice: { text: 'old', lang: 'en' }, members: 7 });
  return index;
}

async function openGroups(
  index: string,
  more: object = {},
): Promise<GroupSink & Required<Pick<GroupSink, 'read' | 'identify'>>> {
  const options = elasticsearchOptions.parse({ nodes: [url], index, createIndex: false, ...more });
  const sink = await shaped(SHAPE).open(options, testHost(), never());
  if (sink.holds !== 'groups' || !sink.read || !sink.identify) throw new TypeError('groups are expected');
  return { ...sink, read: sink.read, identify: sink.identify };
}

/** Delivers as the engine does; what is to be tried again is tried again. */
async function bring(sink: GroupSink, events: readonly CanonicalEvent[], signal = never()): Promise<void> {
  let left = events.map((event, index) => entryOf(index, event));
  while (left.length > 0) {
    const outcomes = await deliver(sink, left, { get: () => undefined }, filter, signal);
    left = left.filter(({ id }) => !['delivered', 'superseded'].includes(outcomes.get(id)?.kind ?? ''));
  }
}

const forever = new Promise<never>(() => {});

const stateOf = (groupId: string, events: readonly CanonicalEvent[]): Group =>
  filter.project(events.filter(({ subject }) => subject === groupId).reduce(merge, newGroup(groupId)));

describe.skipIf(skip !== '')(`an index of others with the versions beside it${skipped}`, () => {
  test('two bridges at once, each of which ends again and again between two writes, leave what all events come to', async () => {
    const index = await indexOfOthers();
    const random = createRandom(4_711);
    // Few values, so that a field often comes back to one that it had.
    const events = Array.from({ length: 240 }, (_, n) =>
      makeEvent(
        n % 2 === 0
          ? { name: `name ${random.between(0, 1)}` }
          : { customFields: { [`k${n % 3}`]: `${random.between(0, 1)}` } },
        { groupId: `g${n % 6}` },
      ),
    );
    let ended = 0;
    await (await openGroups(index)).close();
    await Promise.all(
      [0, 1].map(async (which) => {
        let stop = new AbortController();
        const front = await frontNode(async (path) => {
          await new Promise((resolve) => setTimeout(resolve, random.between(0, 3)));
          if (!/_(mget|bulk)/.test(path) || random.between(1, 5) > 1) return;
          stop.abort(new Error(`ended before ${path}`));
          // What was asked for arrives late, or never.
          if (random.between(0, 1) === 1) await forever;
        });
        let sink = await openGroups(index, { nodes: [front.url] });
        const mine = random.shuffled(events).slice(which * 40);
        for (let at = 0; at < mine.length; at += 20) {
          for (let isBrought = false; !isBrought; ) {
            stop = new AbortController();
            isBrought = await bring(sink, mine.slice(at, at + 20), stop.signal).then(
              () => true,
              () => false,
            );
            if (isBrought) continue;
            ended++;
            await sink.close();
            sink = await openGroups(index, { nodes: [front.url] });
          }
        }
        await sink.close();
        await front.close();
      }),
    );
    expect(ended).toBeGreaterThan(3);
    const [held, records] = [await documents(index), await documents(besideOf(index))];
    for (const groupId of new Set(events.map(({ subject }) => subject))) {
      const { name, customFields, versions } = stateOf(groupId, events);
      const theirs = groupId === 'g0' ? { members: 7, notice: { text: 'old', lang: 'en' } } : {};
      expect(held.get(`tim-${groupId}`)).toEqual({ ...theirs, group_name: name, customFields });
      expect(records.get(`tim-${groupId}`)?.versions).toEqual(versions);
    }
    expect(await mappingOf(index)).toEqual(THEIRS);
    expect(await mappingOf(besideOf(index))).toMatchObject({ enabled: false });
  });

  test('a document that another puts back, since its record is not there yet, is written again', async () => {
    const index = await indexOfOthers();
    const [first, second] = ['first', 'second'].map((name) => makeEvent({ name }, { groupId: 'g1' }));
    if (!first || !second) return;
    const other = await openGroups(index);
    await bring(other, [first]);
    let records = 0;
    const front = await frontNode(async (path) => {
      if (path.startsWith(`/${besideOf(index)}/_bulk`) && ++records === 1) await bring(other, [first]);
    });
    const sink = await openGroups(index, { nodes: [front.url] });
    await bring(sink, [second]);
    expect(records).toBe(1);
    expect((await documents(index)).get('tim-g1')).toMatchObject({ group_name: 'second' });
    for (const one of [sink, other, front]) await one.close();
  });

  test('what a bridge left half done is whole once its events come again, whoever was at work in between', async () => {
    const index = await indexOfOthers();
    const stop = new AbortController();
    const front = await frontNode(async (path) => {
      if (!path.startsWith(`/${besideOf(index)}/_bulk`)) return;
      stop.abort(new Error('killed'));
      await forever;
    });
    const killed = await openGroups(index, { nodes: [front.url] });
    const events = [makeEvent({ name: 'A' }, { groupId: 'g1' }), makeEvent({ notification: 'N' }, { groupId: 'g1' })];
    await expect(bring(killed, events.slice(0, 1), stop.signal)).rejects.toThrow('killed');
    for (const one of [killed, front]) await one.close();
    const ofG1 = async () => (await documents(index)).get('tim-g1');
    expect(await ofG1()).toMatchObject({ group_name: 'A' });
    expect(await documents(besideOf(index))).toEqual(new Map());

    const sink = await openGroups(index);
    await bring(sink, events.slice(1));
    await bring(sink, events.slice(0, 1));
    expect(await ofG1()).toMatchObject({ group_name: 'A', notice: { text: 'N' } });
    expect((await documents(besideOf(index))).get('tim-g1')?.versions).toEqual(stateOf('g1', events).versions);
    await sink.close();
  });

  test('what somebody changed or deleted is found and mended, in the documents and beside them', async () => {
    const index = await indexOfOthers();
    const sink = await openGroups(index);
    const events = ['g0', 'g1', 'g2', 'g3'].map((groupId) =>
      makeEvent({ name: 'A', notification: 'N', customFields: { color: 'red' } }, { groupId }),
    );
    await bring(sink, events);
    const states = ['g0', 'g1', 'g2', 'g3'].map((groupId) => stateOf(groupId, events));
    const found = async () =>
      Array.from(await sink.read(states, never()), ([, { status, differs }]) => differs ?? status);
    const put = async (how: 'join' | 'compare' | 'repair') => {
      const outcomes = await sink.put(states, how, never());
      return states.map(({ groupId }) => outcomes.get(groupId)?.kind);
    };
    const spoil = async () => {
      const change = { group_name: 'by hand', members: 8, customFields: { color: 'blue' } };
      await must('POST', `/${index}/_update/tim-g0`, { doc: change });
      await must('DELETE', `/${index}/_doc/tim-g1`);
      await must('DELETE', `/${besideOf(index)}/_doc/tim-g2`);
    };
    const held = await documents(index);
    for (const how of ['repair', 'join'] as const) {
      await spoil();
      expect(await found()).toEqual([['name', 'customFields.color'], 'missing', ['versions'], 'in-step']);
      expect(await put('compare')).toEqual(['delivered', 'delivered', 'delivered', 'superseded']);
      expect(await put(how)).toEqual(['delivered', 'delivered', 'delivered', 'superseded']);
      const theirs = { members: 8, notice: { text: 'N', lang: 'en' } };
      expect(await documents(index)).toEqual(
        new Map(held).set('tim-g0', { ...held.get('tim-g0'), ...theirs } as never),
      );
      expect(await found()).toEqual(states.map(() => 'in-step'));
    }
    const { identity } = await sink.identify(undefined, never());
    expect(await sink.identify(identity, never())).toEqual({ identity });
    await must('DELETE', `/${besideOf(index)}`);
    expect((await sink.identify(identity, never())).lost).toContain(`${besideOf(index)} was deleted or replaced`);
    expect((await sink.identify(identity.split('|')[0], never())).lost).toContain(`are now in ${besideOf(index)}`);
    await sink.close();
  });

  test('a document that comes out otherwise than it was written is settled all the same', async () => {
    const index = newIndex();
    newIndex(besideOf(index));
    await must('PUT', `/${index}`, { mappings: { ...THEIRS, _source: { excludes: ['group_name'] } } });
    const sink = await openGroups(index);
    const event = makeEvent({ name: 'kept from sight' }, { groupId: 'g1' });
    expect((await sink.put([stateOf('g1', [event])], 'join', never())).get('g1')?.kind).toBe('delivered');
    expect((await hits(index)).map(({ _seq_no }) => _seq_no)).toEqual([0]);
    await sink.close();
  });

  test('a destroyed group is gone, and no late change of another bridge brings it back', async () => {
    const index = await indexOfOthers();
    const sink = await openGroups(index, { onDestroyed: 'delete' });
    const [before, late] = [makeEvent({ name: 'A' }, { groupId: 'g1' }), makeEvent({ name: 'B' }, { groupId: 'g1' })];
    const { data } = makeEvent({}, { groupId: 'g1' });
    const destroyed = groupEvent('chat.group.destroyed', '1400701118', 'gone', data);
    await bring(sink, [before]);
    expect([...(await documents(index)).keys()]).toContain('tim-g1');
    await bring(sink, [destroyed]);
    await bring(sink, [late]);
    expect([...(await documents(index)).keys()]).toEqual(['tim-g0']);
    const state = stateOf('g1', [before, destroyed]);
    expect((await sink.read([state], never())).get('g1')).toMatchObject({ status: 'in-step' });
    await sink.close();
  });

  test('the doctor looks at both, and an index that would make fields of the versions is refused', async () => {
    const index = await indexOfOthers();
    const options = elasticsearchOptions.parse({ nodes: [url], index, createIndex: false });
    const lastFinding = async () => {
      let last: Finding | undefined;
      for await (const finding of shaped(SHAPE).examine(options, testHost(), never())) last = finding;
      return last;
    };
    expect(await lastFinding()).toMatchObject({
      step: 'versions',
      state: 'note',
      says: expect.stringMatching(/start creates it/),
    });
    await (await openGroups(index)).close();
    expect(await lastFinding()).toMatchObject({ step: 'versions', state: 'well' });
    await must('DELETE', `/${besideOf(index)}`);
    await must('PUT', `/${besideOf(index)}`, { mappings: { dynamic: false } });
    const { path, message } = await unreachableBy(() => openGroups(index));
    expect(path).toBe('connectors.under-test.shape.versionsIndex');
    expect(message).toContain('cannot hold versions');
  });
});
