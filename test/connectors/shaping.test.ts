import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type Configured, openSink, tryTransform } from '../../connectors/index.ts';
import { toMessage } from '../../connectors/kafka/message.ts';
import { entryOf } from '../../src/model/entry.ts';
import type { CanonicalEvent } from '../../src/model/event.ts';
import { compileShape, type ShapeSettings, shapeSettings } from '../../src/model/shape.ts';
import { makeEvent, never, testHost, unreachableBy } from './suite.ts';

const folder = mkdtempSync(join(tmpdir(), 'shape-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;

async function write(shape: Partial<ShapeSettings>, ...batches: CanonicalEvent[][]) {
  const path = join(folder, `${++files}.ndjson`);
  const sink = await openSink({ kind: 'file', path, mode: 0o600, shape } as Configured, testHost(), never());
  if (sink.holds !== 'events') throw new TypeError('a file holds events');
  const outcomes = [];
  for (const batch of batches)
    outcomes.push(
      await sink.deliver(
        batch.map((one, index) => entryOf(index, one)),
        never(),
      ),
    );
  await sink.close();
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return { lines: lines.map((line) => JSON.parse(line)), outcomes };
}

test.each([undefined, 'name'])(
  'in binary mode the schema of data is named where data is what it describes: %s',
  (name) => {
    const shape = name && compileShape(shapeSettings.parse({ fields: { [name]: 'title' } }), 'events');
    const { headers } = toMessage(entryOf(1, makeEvent({ name: 'A' })), 'binary', shape || undefined);
    expect(headers).toMatchObject({ ce_specversion: '1.0', ce_subject: expect.any(String) });
    expect('ce_dataschema' in headers).toBe(name === undefined);
  },
);

describe('a sink of events writes them in the shape that is asked for', () => {
  test('renamed, nested, left out, with constants and times', async () => {
    const event = makeEvent({ name: 'A', notification: 'N' }, { groupId: 'g', at: 1_670_574_414_123 });
    const { lines, outcomes } = await write(
      {
        fields: { name: 'group_name', notification: 'notice.text', groupId: 'group', occurredAt: 'at' },
        omit: ['data', 'specversion', 'datacontenttype', 'dataschema', 'source', 'subject', 'time'],
        constants: { 'notice.lang': 'en', tenant: 7 },
        times: 'epochSeconds',
      },
      [event],
    );
    const { id, type } = event;
    const notice = { text: 'N', lang: 'en' };
    expect(lines).toEqual([{ id, type, group: 'g', group_name: 'A', notice, at: 1_670_574_414, tenant: 7 }]);
    expect(outcomes[0]?.get(id)?.kind).toBe('delivered');
  });

  test('a function makes what no setting says; what it throws, or does not end, is a dead letter of that event alone', async () => {
    const module = join(folder, 'shape.mjs');
    const source = (body: string) =>
      `export default ({ id, data }) => { ${body} return { id, name: data.changed.name }; };`;
    writeFileSync(
      module,
      source(
        "if (data.changed.name === 'bad') throw new Error('no such tenant'); while (data.changed.name === 'endless');",
      ),
    );
    const events = ['a', 'bad', 'b', 'endless', 'c'].map((name) => makeEvent({ name }));
    const { lines, outcomes } = await write({ transform: module, transformMs: 200 }, events);
    expect(lines.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
    const [, bad, , endless] = events.map(({ id }) => outcomes[0]?.get(id));
    const path = 'connectors.under-test.shape.transform';
    expect(bad).toMatchObject({ kind: 'dead', fault: { message: expect.stringContaining('no such tenant'), path } });
    expect(endless).toMatchObject({ kind: 'dead', fault: { message: expect.stringContaining('longer than 200 ms') } });
    const found = tryTransform({ kind: 'file', shape: { transform: module } } as Configured, testHost(), [
      events[1] as CanonicalEvent,
    ]);
    const { value } = await found.next();
    expect(value).toMatchObject({ state: 'wrong', says: expect.stringContaining('no such tenant') });
  });

  test.each(['new Map([["a", 1]])', 'new Error("no tenant")', '(function* () { yield 1; })()', '({ then() {} })'])(
    'what JSON has no words for is a dead letter, not an empty object: %s',
    async (value) => {
      const module = join(folder, `${value.length}.mjs`);
      writeFileSync(module, `export default () => ${value};`);
      const { lines, outcomes } = await write({ transform: module }, [makeEvent({ name: 'a' })]);
      expect([lines, ...(outcomes[0]?.values() ?? [])]).toMatchObject([[], { kind: 'dead' }]);
    },
  );

  test('a machine that stalls is no fault of the event', async () => {
    const module = join(folder, 'stalls.mjs');
    const stall = 'if (calls++ === 0) { const end = Date.now() + 300; while (Date.now() < end); }';
    writeFileSync(module, `let calls = 0; export default ({ id }) => { ${stall} return { id }; };`);
    const { lines, outcomes } = await write({ transform: module, transformMs: 100 }, [makeEvent({ name: 'a' })]);
    expect([...(outcomes[0]?.values() ?? [])].map(({ kind }) => kind)).toEqual(['delivered']);
    expect(lines).toHaveLength(1);
  });

  test('a module that waits for ever at its top level is told', async () => {
    const module = join(folder, 'waits.mjs');
    writeFileSync(module, 'await new Promise(() => {}); export default ({ id }) => ({ id });');
    const options = { kind: 'file', path: join(folder, 'waits.ndjson'), mode: 0o600, shape: { transform: module } };
    const fault = await unreachableBy(() => openSink(options, testHost(), never()));
    expect(fault).toMatchObject({ code: 'destination-misconfigured', message: expect.stringContaining('top level') });
  });

  test('a module that was mended is taken up; one that is missing is the destination’s trouble', async () => {
    const module = join(folder, 'mended.mjs');
    const options = { kind: 'file', path: join(folder, 'mended.ndjson'), mode: 0o600, shape: { transform: module } };
    const { message } = await unreachableBy(() => openSink(options, testHost(), never()));
    expect(message).toContain('mended.mjs');
    writeFileSync(module, 'export default () => "text";');
    const sink = await openSink(options, testHost(), never());
    const event = makeEvent({ name: 'A' });
    const deliver = async () =>
      sink.holds === 'events' ? (await sink.deliver([entryOf(1, event)], never())).get(event.id) : undefined;
    expect(await deliver()).toMatchObject({
      kind: 'dead',
      fault: { message: expect.stringContaining('not return an object') },
    });
    writeFileSync(module, 'export default () => new Date();');
    utimesSync(module, 3, 3);
    expect(await deliver()).toMatchObject({
      kind: 'dead',
      fault: { message: expect.stringContaining('JSON cannot represent') },
    });
    // Vitest fails where a rejection is nobody's.
    writeFileSync(module, 'export default async () => { throw new Error("late"); };');
    utimesSync(module, 2, 2);
    expect(await deliver()).toMatchObject({ kind: 'dead', fault: { message: expect.stringContaining('a promise') } });
    writeFileSync(module, 'export default ({ id }) => ({ id });');
    utimesSync(module, 1, 1);
    expect(await deliver()).toMatchObject({ kind: 'delivered' });
    await sink.close();
  });
});
