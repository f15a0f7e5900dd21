/** What the connector does with Elasticsearch it does with OpenSearch: the same tests, of which the server is another one. */
import { describe, expect, test } from 'vitest';
import './elasticsearch.test.ts';
import './elasticsearch-datastream.test.ts';
import './elasticsearch-index.test.ts';
import './elasticsearch-state.test.ts';
import './elasticsearch-versions.test.ts';
import { must, open, place, searchable, skip, skipped } from './elasticsearch.oracle.ts';
import { makeEvent, never, testHost, unreachableBy } from './suite.ts';

describe.skipIf(skip !== '')(`OpenSearch${skipped}`, () => {
  test('is what these tests run against', async () => {
    expect(await must('GET', '/')).toMatchObject({ version: { distribution: 'opensearch' } });
    expect(searchable).toBe(false);
  });

  test.each(['groups', 'events'] as const)(
    'the note of a new index says that custom fields cannot be searched: %s',
    async (content) => {
      const host = testHost();
      await (await open(place(content).options, {}, host)).close();
      expect(host.notes).toEqual([expect.stringMatching(/^created the index .*OpenSearch has no type flattened/)]);
    },
  );

  test('custom fields of any length are kept', async () => {
    const { index, options } = place('events');
    const sink = await open(options);
    const customFields = { long: 'x'.repeat(100_000), ['k'.repeat(40_000)]: 'v' };
    const event = makeEvent({ customFields });
    expect((await sink.deliver([event], never())).get(event.id)?.kind).toBe('delivered');
    await sink.close();
    expect(await must('GET', `/${index}/_source/${event.id}`)).toMatchObject({ data: { changed: { customFields } } });
  });

  test('faults call it by its name', async () => {
    const { index, options } = place('groups');
    const sink = await open(options);
    await must('POST', `/${index}/_close`);
    const { message } = await unreachableBy(() => sink.deliver([makeEvent({ name: 'a' })], never()));
    await sink.close();
    expect(message).toMatch(/^OpenSearch /);
  });
});
