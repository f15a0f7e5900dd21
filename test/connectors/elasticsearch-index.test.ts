import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { elasticsearch } from '../../connectors/elasticsearch/connector.ts';
import {
  type Content,
  deleteIndices,
  keyword,
  MAPPINGS,
  mappingOf,
  must,
  newIndex,
  open,
  place,
  request,
  searchable,
  settingsOf,
  skip,
  skipped,
  text,
} from './elasticsearch.oracle.ts';
import { makeEvent, never, testHost, unreachableBy, withSink } from './suite.ts';

afterAll(deleteIndices);

describe.skipIf(skip !== '')(`the index has the mapping it should${skipped}`, () => {
  test.each(['groups', 'events'] as const)(
    'a missing index is created with it, and a note says so: content %s',
    async (content) => {
      const chosen = place(content, { createIndex: { shards: 2, replicas: 0 } });
      await withSink(elasticsearch, chosen, async (_, host) => {
        expect(await mappingOf(chosen.index)).toEqual(MAPPINGS[content]);
        expect(await settingsOf(chosen.index)).toMatchObject({
          number_of_shards: '2',
          number_of_replicas: '0',
        });
        expect(host.notes).toEqual([expect.stringContaining(chosen.index)]);
      });
    },
  );

  test.each(['groups', 'events'] as const)(
    'an index that was deleted in between is created anew with it: content %s',
    async (content) => {
      const chosen = place(content);
      await withSink(elasticsearch, chosen, async (sink) => {
        await sink.deliver([makeEvent({ name: 'before' })], never());
        await must('DELETE', `/${chosen.index}`);
        const event = makeEvent({ name: 'after' });
        expect((await sink.deliver([event], never())).get(event.id)?.kind).toBe('delivered');
        expect(await mappingOf(chosen.index)).toEqual(MAPPINGS[content]);
      });
    },
  );

  test('a sink goes on with an index that was deleted while it was Unreachable for another reason', async () => {
    const chosen = place('groups');
    await withSink(elasticsearch, chosen, async (sink) => {
      await must('PUT', `/${chosen.index}/_settings`, { 'index.blocks.write': true });
      const event = makeEvent({ name: 'name' });
      await unreachableBy(() => sink.deliver([event], never()));
      await must('DELETE', `/${chosen.index}`);
      expect((await sink.deliver([event], never())).get(event.id)?.kind).toBe('delivered');
      expect(await mappingOf(chosen.index)).toEqual(MAPPINGS.groups);
    });
  });

  test.each(['groups', 'events'] as const)('what it holds can be found: content %s', async (content) => {
    const chosen = place(content);
    await withSink(elasticsearch, chosen, async (sink) => {
      const changed = {
        name: 'My First Group',
        faceUrl: 'http://f',
        customFields: { Level: 'gold', long: 'x'.repeat(40_000) },
      };
      const event = makeEvent(changed, { groupId: '@TGS#found' });
      await sink.deliver([event, makeEvent({ name: 'other' })], never());
      await must('POST', `/${chosen.index}/_refresh`);
      const prefix = content === 'groups' ? '' : 'data.changed.';
      const queries = [
        { match: { [`${prefix}name`]: 'first' } },
        { term: { [`${prefix}name.keyword`]: 'My First Group' } },
        { term: { [`${prefix}faceUrl`]: 'http://f' } },
        ...(searchable ? [{ term: { [`${prefix}customFields.Level`]: 'gold' } }] : []),
        { term: { [content === 'groups' ? 'groupId' : 'data.groupId']: '@TGS#found' } },
        { range: { [content === 'groups' ? 'updatedAt' : 'time']: { gte: event.time, lte: event.time } } },
      ];
      for (const query of queries) {
        const { count } = await must<{ count: number }>('POST', `/${chosen.index}/_count`, { query });
        expect(count, JSON.stringify(query)).toBe(1);
      }
    });
  });
});

describe.skipIf(skip !== '')(`an index that cannot be had is said plainly${skipped}`, () => {
  test('createIndex: false and no index: Unreachable until somebody creates it, and nothing is created', async () => {
    const { index, options } = place('groups', { createIndex: false });
    const fault = await unreachableBy(() => open(options));
    expect(fault).toMatchObject({ code: 'destination-missing', path: 'connectors.under-test.index' });
    expect(fault.suggestion).toContain('createIndex');
    expect((await request('HEAD', `/${index}`)).status).toBe(404);
    await must('PUT', `/${index}`, { mappings: { dynamic: false } });
    await (await open(options)).close();
  });

  test.each(['groups', 'events'] as const)(
    'createIndex: false and an index that went away: content %s',
    async (content) => {
      const chosen = place(content, { createIndex: false });
      await must('PUT', `/${chosen.index}`, { mappings: MAPPINGS[content] });
      await withSink(elasticsearch, chosen, async (sink) => {
        await must('DELETE', `/${chosen.index}`);
        expect((await unreachableBy(() => sink.deliver([makeEvent({ name: 'a' })], never()))).code).toBe(
          'destination-missing',
        );
        expect((await unreachableBy(() => sink.check(never()))).code).toBe('destination-missing');
        expect((await request('HEAD', `/${chosen.index}`)).status).toBe(404);
      });
    },
  );

  test.each([
    ['a write block', '_settings', { 'index.blocks.write': true }, 'destination-misconfigured', /index write/],
    [
      'a disk too full',
      '_settings',
      { 'index.blocks.read_only_allow_delete': true },
      'destination-overloaded',
      /watermark/,
    ],
    ['a closed index', '_close', undefined, 'destination-misconfigured', /index_closed/],
  ])('%s pauses it, and it goes on once that is over', async (_, endpoint, body, code, reason) => {
    const chosen = place('groups');
    await withSink(elasticsearch, chosen, async (sink) => {
      await must(endpoint === '_close' ? 'POST' : 'PUT', `/${chosen.index}/${endpoint}`, body);
      for (const work of [() => sink.deliver([makeEvent({ name: 'a' })], never()), () => sink.check(never())]) {
        const fault = await unreachableBy(work);
        expect(fault.code).toBe(code);
        expect(fault.message).toMatch(reason);
      }
      if (endpoint === '_close') await must('POST', `/${chosen.index}/_open`);
      else await must('PUT', `/${chosen.index}/_settings`, { [Object.keys(body ?? {})[0] ?? '']: null });
      await sink.check(never());
      expect([...(await sink.deliver([makeEvent({ name: 'a' })], never())).values()]).toMatchObject([
        { kind: 'delivered' },
      ]);
    });
  });

  test('check says which fields the mapping lacks', async () => {
    const chosen = place('groups');
    await must('PUT', `/${chosen.index}`, {
      mappings: { dynamic: false, properties: { name: text, groupId: keyword } },
    });
    await withSink(elasticsearch, chosen, async (sink) => {
      const fault = await unreachableBy(() => sink.check(never()));
      expect(fault.code).toBe('destination-misconfigured');
      expect(fault.message).toMatch(/lacks .*versions/);
      expect(fault.message).not.toContain('groupId');
    });
  });

  test.each([
    ['groups', ['name'], { type: 'integer' }, /name is integer/],
    ['groups', ['name'], { type: 'integer', ignore_malformed: true }, undefined],
    ['groups', ['name'], keyword, undefined],
    ['groups', ['owner'], { properties: { id: keyword } }, /owner is object/],
    ['groups', ['destroyed'], { type: 'date' }, /destroyed is date/],
    ['groups', ['customFields'], keyword, /customFields is keyword/],
    ['groups', ['versions'], { type: 'object' }, undefined],
    ['groups', ['updatedAt'], keyword, undefined],
    ['groups', ['updatedAt'], { type: 'date', format: 'epoch_millis' }, /updatedAt has the format epoch_millis/],
    ['groups', ['updatedAt'], { type: 'date', format: 'epoch_millis||strict_date_optional_time' }, undefined],
    ['groups', ['updatedAt'], { type: 'date', format: '8strict_date_optional_time' }, undefined],
    ['groups', ['updatedAt'], { type: 'date', format: 'date_time_no_millis' }, /updatedAt has the format date_time_no/],
    ['groups', ['name'], { type: 'alias', path: 'owner' }, /name is alias/],
    ['events', ['data', 'changed', 'faceUrl'], { type: 'ip' }, /data\.changed\.faceUrl is ip/],
    ['events', ['data', 'occurredAt'], { type: 'long' }, undefined],
    ['events', ['time'], { type: 'long' }, /time is long/],
  ] as const)('check says which fields take no such values: %s, %j as %j', async (content, path, field, says) => {
    const chosen = place(content);
    const mappings = structuredClone(MAPPINGS[content]) as object;
    const last = path
      .slice(0, -1)
      .reduce<object>((at, name) => Reflect.get(Reflect.get(at, 'properties'), name), mappings);
    Reflect.set(Reflect.get(last, 'properties'), path.at(-1) ?? '', field);
    await must('PUT', `/${chosen.index}`, { mappings });
    await withSink(elasticsearch, chosen, async (sink) => {
      if (says === undefined) return sink.check(never());
      const fault = await unreachableBy(() => sink.check(never()));
      expect(fault).toMatchObject({ code: 'destination-misconfigured', message: expect.stringMatching(says) });
    });
  });

  test.each([{}, { properties: { name: text } }, { dynamic: true }])(
    'an index that would guess at the versions, and so refuse every group, is told before any: %j',
    async (mappings) => {
      const chosen = place('groups');
      await must('PUT', `/${chosen.index}`, { mappings });
      const open = () => elasticsearch.open(elasticsearch.options.parse(chosen.options), testHost(), never());
      const fault = await unreachableBy(open);
      expect(fault).toMatchObject({ code: 'destination-misconfigured', path: 'connectors.under-test.index' });
      expect(fault.suggestion).toContain('"enabled": false');
      await must('PUT', `/${chosen.index}/_mapping`, { properties: { versions: { type: 'object', enabled: false } } });
      await withSink(elasticsearch, chosen, async (sink) => {
        const outcomes = await sink.deliver([makeEvent({ name: 'a' })], never());
        expect([...outcomes.values()]).toMatchObject([{ kind: 'delivered' }]);
      });
    },
  );

  test.each([
    [{ type: 'integer' }, undefined],
    [{ type: 'date' }, undefined],
    [{ type: 'integer', ignore_malformed: false }, /name is integer/],
    [{ properties: { id: keyword } }, /name is object/],
  ])('an index that ignores what is malformed takes it, where a field can: %j', async (name, says) => {
    // OpenSearch takes it all the same, which its mapping does not say.
    if (!searchable && 'ignore_malformed' in name) return;
    const chosen = place('groups');
    const mappings = { ...MAPPINGS.groups, properties: { ...MAPPINGS.groups.properties, name } };
    await must('PUT', `/${chosen.index}`, { settings: { 'index.mapping.ignore_malformed': true }, mappings });
    await withSink(elasticsearch, chosen, async (sink) => {
      const event = makeEvent({ name: 'no number' });
      const kind = (await sink.deliver([event], never())).get(event.id)?.kind;
      expect(kind).toBe(says === undefined ? 'delivered' : 'dead');
      if (says === undefined) return sink.check(never());
      expect((await unreachableBy(() => sink.check(never()))).message).toMatch(says);
    });
  });

  test('check creates no index, and writes no trace', async () => {
    const chosen = place('events');
    await withSink(elasticsearch, chosen, async (sink) => {
      await sink.check(never());
      const stats = await must<{ _all: { primaries: { translog: { operations: number } } } }>(
        'GET',
        `/${chosen.index}/_stats/translog`,
      );
      expect(stats._all.primaries.translog.operations).toBe(0);
      await must('DELETE', `/${chosen.index}`);
      await sink.check(never());
      expect((await request('HEAD', `/${chosen.index}`)).status).toBe(404);
    });
  });
});

describe.skipIf(skip !== '')(`the index may be an alias${skipped}`, () => {
  async function aliasOf(content: Content, flags: readonly (boolean | undefined)[]) {
    const chosen = place(content);
    const indices = flags.map((_, i) => newIndex(`${chosen.index}-${i}`));
    for (const [i, flag] of flags.entries()) {
      const alias = flag === undefined ? {} : { is_write_index: flag };
      await must('PUT', `/${indices[i]}`, { mappings: MAPPINGS[content], aliases: { [chosen.index]: alias } });
    }
    return { ...chosen, indices };
  }

  test.each([
    ['groups', [undefined], 0],
    ['groups', [true], 0],
    ['events', [undefined], 0],
    ['events', [false, true], 1],
  ] as const)('content %s behind an alias with is_write_index %j', async (content, flags, written) => {
    const chosen = await aliasOf(content, flags);
    await withSink(elasticsearch, chosen, async (sink) => {
      await sink.check(never());
      const event = makeEvent({ name: 'name' }, { groupId: 'g' });
      const outcome = (await sink.deliver([event], never())).get(event.id);
      const lies = content === 'groups' ? 'g@0' : event.id;
      expect(outcome).toEqual({ kind: 'delivered', receipt: `${chosen.indices[written]}/${lies}` });
    });
  });

  test.each([
    ['groups', [false], /no write index/],
    ['events', [undefined, undefined], /no write index/],
    ['groups', [true, false], /2 indices/],
  ] as const)('content %s behind an alias with is_write_index %j is refused', async (content, flags, message) => {
    const { options } = await aliasOf(content, flags);
    const fault = await unreachableBy(() => open(options));
    expect(fault.code).toBe('destination-misconfigured');
    expect(fault.message).toMatch(message);
  });

  test.each(['groups', 'events'] as const)(
    'an alias that loses its write index charges no event: content %s',
    async (content) => {
      const chosen = await aliasOf(content, [undefined]);
      await withSink(elasticsearch, chosen, async (sink) => {
        const second = newIndex(`${chosen.index}-second`);
        await must('PUT', `/${second}`, { aliases: { [chosen.index]: {} } });
        const fault = await unreachableBy(() => sink.deliver([makeEvent({ name: 'a' })], never()));
        expect(fault).toMatchObject({
          code: 'destination-misconfigured',
          message: expect.stringContaining('no write index'),
        });
      });
    },
  );
});

describe.skipIf(skip !== '')(`createIndex.file replaces settings and mapping${skipped}`, () => {
  async function withFile(content: string, work: (file: string) => Promise<void>): Promise<void> {
    const folder = await mkdtemp(join(tmpdir(), 'bridge-index-'));
    const file = join(folder, 'index.json');
    await writeFile(file, content);
    await work(file).finally(() => rm(folder, { recursive: true }));
  }

  test('with what it holds; shards and replicas count where it is silent', async () => {
    const mappings = { dynamic: 'false', properties: { name: { type: 'text', analyzer: 'plain' } } };
    const settings = {
      index: { number_of_shards: 3 },
      analysis: { analyzer: { plain: { type: 'standard', max_token_length: 5 } } },
    };
    await withFile(JSON.stringify({ settings, mappings }), async (file) => {
      const chosen = place('groups', { createIndex: { shards: 1, replicas: 0, file } });
      await withSink(elasticsearch, chosen, async () => {
        expect(await mappingOf(chosen.index)).toEqual(mappings);
        expect(await settingsOf(chosen.index)).toMatchObject({ number_of_shards: '3', number_of_replicas: '0' });
      });
    });
  });

  test('only the settings, and the built-in mapping stays', async () => {
    await withFile('{"settings": {"number_of_replicas": 0, "index.refresh_interval": "7s"}}', async (file) => {
      const chosen = place('events', { createIndex: { file } });
      await withSink(elasticsearch, chosen, async () => {
        expect(await mappingOf(chosen.index)).toEqual(MAPPINGS.events);
        expect(await settingsOf(chosen.index)).toMatchObject({ refresh_interval: '7s', number_of_replicas: '0' });
      });
    });
  });

  test.each([
    ['no JSON', '{"settings": '],
    ['an unknown key', '{"mapping": {}}'],
    ['a list', '[]'],
    ['a mapping that Elasticsearch refuses', '{"mappings": {"properties": {"a": {"type": "nope"}}}}'],
  ])('a bad one is named: %s', async (_, content) => {
    await withFile(content, async (file) => {
      const fault = await unreachableBy(() => open(place('groups', { createIndex: { file } }).options));
      expect(fault).toMatchObject({
        code: 'destination-misconfigured',
        path: 'connectors.under-test.createIndex.file',
      });
    });
  });

  test('a missing one is named', async () => {
    const fault = await unreachableBy(() =>
      open(place('groups', { createIndex: { file: '/nowhere/index.json' } }).options),
    );
    expect(fault.path).toBe('connectors.under-test.createIndex.file');
    expect(fault.message).toContain('/nowhere/index.json');
  });
});
