import { afterAll, describe, expect, test } from 'vitest';
import { elasticsearch } from '../../connectors/elasticsearch/connector.ts';
import { elasticsearchOptions } from '../../connectors/elasticsearch/options.ts';
import { PROFILE_FIELDS } from '../../src/model/event.ts';
import { type Group, merge, newGroup } from '../../src/model/group.ts';
import {
  type Content,
  deleteIndices,
  documents,
  frontNode,
  hits,
  must,
  open,
  place,
  skip,
  skipped,
  url,
} from './elasticsearch.oracle.ts';
import { connectorSuite, makeEvent, never, type Poison, testHost, unreachableBy, withSink } from './suite.ts';

/** An index in which a name must be a date: any other name is refused. */
function poison(content: Content): Poison {
  return {
    reason: /(document|mapper)_parsing_exception.*failed to parse field \[(data\.changed\.)?name\] of type \[date\]/,
    event: (groupId) => makeEvent({ name: 'no date' }, { groupId }),
    async place() {
      const chosen = place(content);
      const name = { properties: { name: { type: 'date' } } };
      const properties = content === 'groups' ? name.properties : { data: { properties: { changed: name } } };
      await must('PUT', `/${chosen.index}`, { mappings: { dynamic: false, properties } });
      return chosen;
    },
  };
}

afterAll(deleteIndices);

for (const content of ['groups', 'events'] as const) {
  connectorSuite({
    name: `elasticsearch, content: ${content}`,
    connector: elasticsearch,
    keeps: content === 'groups' ? 'the latest of a group' : 'every event',
    skip,
    place: async () => place(content),
    unreachable: async () => ({ nodes: ['http://127.0.0.1:1'], index: 'any', content }),
    poison: poison(content),
  });
}

test.skipIf(skip !== '')(`check names the product and its version${skipped}`, async () => {
  const { nodes } = await must<{ nodes: Record<string, { version: string }> }>('GET', '/_nodes');
  const findings = elasticsearch.examine(elasticsearchOptions.parse(place('groups').options), testHost(), never());
  const { value } = await findings[Symbol.asyncIterator]().next();
  const version = Object.values(nodes)[0]?.version ?? '';
  expect(value).toMatchObject({
    step: 'cluster',
    says: expect.stringMatching(/reached: (Elasticsearch|OpenSearch) \d/),
  });
  expect(value?.says).toContain(` ${version}, `);
});

describe.skipIf(skip !== '')(`an id that no document can have${skipped}`, () => {
  test.each(['groups', 'events'] as const)(
    'is dead with what to do about it, its neighbours pass: %s',
    async (content) => {
      await withSink(elasticsearch, place(content), async (sink) => {
        const long = 'x'.repeat(1_200);
        const [one, bad, other] = [makeEvent({}), makeEvent({ name: 'n' }, { groupId: long, id: long }), makeEvent({})];
        const outcomes = await sink.deliver([one, bad, other], never());
        expect([one, other].map(({ id }) => outcomes.get(id)?.kind)).toEqual(['delivered', 'delivered']);
        expect(outcomes.get(long)).toMatchObject({
          kind: 'dead',
          fault: {
            code: 'event-refused',
            suggestion: expect.stringMatching(/limited to 512 bytes.*shape\.id.*filter/),
          },
        });
      });
    },
  );
});

describe.skipIf(skip !== '')(`copies in Elasticsearch converge${skipped}`, () => {
  test('a group that another writer changes between read and write is read and merged again', async () => {
    const { index, options } = place('groups');
    const [first, foreign, ours] = ['first', 'foreign', 'ours'].map((name) =>
      makeEvent({ name }, { groupId: '@TGS#1' }),
    );
    if (!first || !foreign || !ours) return;
    await withSink(elasticsearch, { options, readBack: async () => [] }, async (other) => {
      await other.deliver([first], never());
      let bulks = 0;
      const front = await frontNode(async (path) => {
        if (path.includes('_bulk') && ++bulks === 1) await other.deliver([foreign], never());
      });
      const sink = await open({ ...options, nodes: front.url });
      const outcome = (await sink.deliver([ours], never())).get(ours.id);
      await sink.close();
      await front.close();
      expect(bulks, 'the first write met a conflict').toBe(2);
      expect(outcome).toEqual({ kind: 'delivered', receipt: `${index}/@TGS#1@2` });
      expect((await documents(index)).get('@TGS#1')).toEqual([first, foreign, ours].reduce(merge, newGroup('@TGS#1')));
    });
  });

  test('a group that is changed by others at every attempt is left to the lane', async () => {
    const { index, options } = place('groups');
    let bulks = 0;
    const front = await frontNode(async (path) => {
      if (path.includes('_bulk')) await must('PUT', `/${index}/_doc/busy`, { groupId: 'busy', foreign: ++bulks });
    });
    const sink = await open({ ...options, nodes: front.url });
    const [busy, calm] = [makeEvent({ name: 'a' }, { groupId: 'busy' }), makeEvent({ name: 'a' }, { groupId: 'calm' })];
    const outcomes = await sink.deliver([busy, calm], never());
    await sink.close();
    await front.close();
    expect(bulks).toBe(10);
    expect(outcomes.get(busy.id)).toMatchObject({ kind: 'retry', fault: { code: 'event-conflict' } });
    expect(outcomes.get(calm.id)?.kind).toBe('delivered');
  });

  test('two sinks that write the same groups at once, in different orders, end in the same copies', async () => {
    const { index, options } = place('groups');
    const events = Array.from({ length: 400 }, (_, i) =>
      makeEvent(
        { [PROFILE_FIELDS[i % 4] ?? 'name']: `${i}`, customFields: { [`k${i % 3}`]: `${i}` } },
        { groupId: `g${i % 20}` },
      ),
    );
    const sinks = [await open(options), await open(options)];
    const orders = [events, events.toReversed()];
    await Promise.all(
      sinks.map(async (sink, which) => {
        for (let at = 0; at < events.length; at += 40) {
          let waiting = orders[which]?.slice(at, at + 40) ?? [];
          while (waiting.length > 0) {
            const outcomes = await sink.deliver(waiting, never());
            waiting = waiting.filter(
              (event) => !['delivered', 'superseded'].includes(outcomes.get(event.id)?.kind ?? ''),
            );
          }
        }
      }),
    );
    for (const sink of sinks) await sink.close();
    const expected = new Map<string, Group>();
    for (const event of events) {
      const { groupId } = event.data;
      expected.set(groupId, merge(expected.get(groupId) ?? newGroup(groupId), event));
    }
    expect(await documents(index)).toEqual(expected);
  });

  test('1,000 events of one group are one write, and each of them is settled', async () => {
    const { index, options, readBack } = place('groups');
    await withSink(elasticsearch, { options, readBack }, async (sink) => {
      const events = Array.from({ length: 1_000 }, (_, i) => makeEvent({ name: `${i}` }, { groupId: 'one' }));
      const outcomes = await sink.deliver(events, never());
      expect([...outcomes.values()].filter((outcome) => outcome.kind === 'superseded')).toHaveLength(999);
      expect(outcomes.get(events.at(-1)?.id ?? '')?.kind).toBe('delivered');
      expect((await hits(index)).map((hit) => [hit._id, hit._seq_no])).toEqual([['one', 0]]);
    });
  });

  test('an event older than what stands is superseded and nothing is written', async () => {
    const { index, options, readBack } = place('groups');
    await withSink(elasticsearch, { options, readBack }, async (sink) => {
      const [older, newer] = [
        makeEvent({ name: 'older' }, { groupId: 'g' }),
        makeEvent({ name: 'newer' }, { groupId: 'g' }),
      ];
      await sink.deliver([newer], never());
      const outcomes = await sink.deliver([older], never());
      expect(outcomes.get(older.id)).toEqual({ kind: 'superseded', receipt: `${index}/g@0` });
      expect(await hits(index)).toMatchObject([{ _seq_no: 0, _source: { name: 'newer' } }]);
    });
  });

  test('an event of the history that is there already is superseded', async () => {
    const { index, options, readBack } = place('events');
    await withSink(elasticsearch, { options, readBack }, async (sink) => {
      const event = makeEvent({ name: 'once' });
      await sink.deliver([event], never());
      const twice = makeEvent({ name: 'new' });
      const again = await sink.deliver([event, twice, twice], never());
      expect(again.get(event.id)).toEqual({ kind: 'superseded', receipt: `${index}/${event.id}` });
      expect([...again.values()].map((outcome) => outcome.kind).sort()).toEqual(['delivered', 'superseded']);
    });
  });
});

describe.skipIf(skip !== '')(`documents of others are respected${skipped}`, () => {
  test('an older index behind an alias that was closed does not make events missing, nor stop anything', async () => {
    const chosen = place('events');
    const indexOf = (n: number) => `${chosen.index}-${n}`;
    const create = (n: number) => must('PUT', `/${indexOf(n)}`, { mappings: { dynamic: false } });
    const write = (n: number, is_write_index: boolean) => ({
      add: { index: indexOf(n), alias: chosen.index, is_write_index },
    });
    await create(1);
    await must('POST', '/_aliases', { actions: [write(1, true)] });
    const [older, newer] = [makeEvent({ name: 'older' }), makeEvent({ name: 'newer' })];
    await withSink(elasticsearch, { options: chosen.options, readBack: chosen.readBack }, async (driven) => {
      await driven.deliver([older], never());
      await create(2);
      await must('POST', '/_aliases', { actions: [write(1, false), write(2, true)] });
      await must('POST', `/${indexOf(1)}/_close`);
      await driven.deliver([newer], never());
      const { sink } = driven;
      const found = sink.holds === 'events' && (await sink.find?.([older.id, newer.id], never()));
      expect(found).toEqual(new Map([older.id, newer.id].map((id, n) => [id, `${indexOf(n + 1)}/${id}`])));
    });
    for (const n of [1, 2]) await must('DELETE', `/${indexOf(n)}`);
  });

  test('foreign fields survive as they are, 64-bit numbers too', async () => {
    const { index, options, readBack } = place('groups');
    await withSink(elasticsearch, { options, readBack }, async (sink) => {
      const source =
        '{"groupId":"g","name":"old","tags":["a",{"b":null}],"externalId":1234567890123456789,"rate":1e400}';
      const headers = { 'content-type': 'application/json' };
      await fetch(`${url}/${index}/_doc/g`, { method: 'PUT', headers, body: source });
      const event = makeEvent({ name: 'new' }, { groupId: 'g' });
      expect((await sink.deliver([event], never())).get(event.id)?.kind).toBe('delivered');
      const text = await (await fetch(`${url}/${index}/_source/g`)).text();
      expect(text).toContain('"externalId":1234567890123456789,');
      expect(text).toContain('"rate":1e400');
      expect((await documents(index)).get('g')).toMatchObject({
        name: 'new',
        tags: ['a', { b: null }],
        destroyed: false,
      });
    });
  });

  test.each([
    ['none', {}],
    ['a text', { versions: 'soon' }],
    ['a list', { versions: [1, 2] }],
    ['null', { versions: null }],
    ['odd entries', { versions: { name: 'x', introduction: [1], faceUrl: [1e17, 'e'], groupType: ['1', 'e'] } }],
  ])('a document with odd versions is merged as if those fields had none: %s', async (_, odd) => {
    const { index, options, readBack } = place('groups');
    await withSink(elasticsearch, { options, readBack }, async (sink) => {
      await must('PUT', `/${index}/_doc/g`, { name: 'old', introduction: 'stays', ...odd });
      const event = makeEvent({ name: 'new', faceUrl: 'f' }, { groupId: 'g' });
      expect((await sink.deliver([event], never())).get(event.id)?.kind).toBe('delivered');
      const merged = merge(newGroup('g'), event);
      expect((await documents(index)).get('g')).toEqual({ ...merged, introduction: 'stays' });
    });
  });

  test.each([
    ['a text', '"abc"'],
    ['a list', '["a"]'],
    ['null', 'null'],
    ['an object of objects', '{"a":{"b":[1]}}'],
  ])('custom fields of an odd shape do not stop the next event: %s', async (_, odd) => {
    const chosen = place('groups');
    await must('PUT', `/${chosen.index}`, { mappings: { dynamic: false } });
    await withSink(elasticsearch, chosen, async (sink) => {
      const customFields = JSON.parse(odd);
      await must('PUT', `/${chosen.index}/_doc/g`, { customFields });
      const event = makeEvent({ customFields: { key: 'value' } }, { groupId: 'g' });
      expect((await sink.deliver([event], never())).get(event.id)?.kind).toBe('delivered');
      const kept = odd.startsWith('{') ? customFields : {};
      expect((await documents(chosen.index)).get('g')?.customFields).toEqual({ ...kept, key: 'value' });
    });
  });

  test.each([null, ['urn:tencent-chat:app:1']])('whose source is no text are of no app: %j', async (source) => {
    const chosen = place('groups');
    await withSink(elasticsearch, { ...chosen, dispose: async () => {} }, async (sink) => {
      await must('PUT', `/${chosen.index}/_doc/g?refresh`, { source, name: 'old', theirs: 1 });
      const event = makeEvent({ name: 'new' }, { groupId: 'g' });
      expect((await sink.deliver([event], never())).get(event.id)?.kind).toBe('delivered');
      expect((await documents(chosen.index)).get('g')).toMatchObject({ name: 'new', source: event.source, theirs: 1 });
      await must('PUT', `/${chosen.index}/_doc/h?refresh`, { source });
    });
    // Nor is it so when it is opened.
    await withSink(elasticsearch, chosen, async (sink) => sink.check(never()));
  });

  test.each([{ enabled: false }, { excludes: ['notification'] }, { includes: ['name', 'versions'] }])(
    'an index that does not keep the whole of a document is refused rather than overwritten: %j',
    async (_source) => {
      const chosen = place('groups');
      await must('PUT', `/${chosen.index}`, {
        mappings: { dynamic: false, _source, properties: { versions: { type: 'object', enabled: false } } },
      });
      const open = () => elasticsearch.open(elasticsearch.options.parse(chosen.options), testHost(), never());
      expect((await unreachableBy(open)).code).toBe('destination-misconfigured');
    },
  );
});
