/** Traces with a real SDK: in a bridge that is started with one, as a user does it, and in this process. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { afterAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { toMessage } from '../../connectors/kafka/message.ts';
import { preloads } from '../../src/delivery/thread/host.ts';
import { entryOf } from '../../src/model/entry.ts';
import { type CanonicalEvent, canonicalEvent } from '../../src/model/event.ts';
import { BridgeError, Unreachable } from '../../src/model/fault.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import { followTopic, type TopicRecord } from '../servers/readback.ts';
import { bridgeHome, startBridgeProcess } from '../support/bridge.process.ts';
import { body, search } from '../support/callbacks.ts';
import { madeEvent } from '../support/events.ts';
import type { WrittenSpan } from './tracing.sdk.ts';

const SDK = new URL('tracing.sdk.ts', import.meta.url).href;
const CALLER = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' };
const TRACEPARENT = `00-${CALLER.traceId}-${CALLER.spanId}-01`;
const TRACESTATE = 'vendor=opaque';
const brokers = inject('kafkaBrokers');

/** One callback, twice, through a bridge of its own to a file and to both formats of Kafka; then the bridge ends. */
async function throughBridge(env: Record<string, string>, nodeOptions: readonly string[] = []) {
  const topics = { structured: `test.${randomUUID()}`, binary: `test.${randomUUID()}` };
  const kafka = (format: 'structured' | 'binary') => ({ kind: 'kafka', brokers, topic: topics[format], format });
  const home = bridgeHome((folder) => ({
    'audit-file': { kind: 'file', path: join(folder, 'events.ndjson') },
    ...(brokers !== '' && { structured: kafka('structured'), binary: kafka('binary') }),
  }));
  const traceFile = join(home.folder, 'spans.ndjson');
  try {
    const bridge = await startBridgeProcess(home, { ...env, TRACE_FILE: traceFile }, nodeOptions);
    for (const traceparent of [TRACEPARENT, TRACEPARENT.replace(CALLER.traceId, 'f'.repeat(32))]) {
      const headers = { traceparent, tracestate: TRACESTATE };
      const answer = await fetch(`${bridge.url}?${search()}`, { method: 'POST', body: body(), headers });
      expect(answer.status).toBe(200);
    }
    const read = async (topic: string): Promise<TopicRecord> => {
      const reader = await followTopic(brokers, topic);
      await reader.until((records) => records.length > 0, 'the event');
      await reader.close();
      return reader.records[0] as TopicRecord;
    };
    const records = brokers === '' ? [] : await Promise.all([read(topics.structured), read(topics.binary)]);
    const lines = () => readLines<CanonicalEvent>(join(home.folder, 'events.ndjson'));
    await expect.poll(lines).toHaveLength(1);
    expect(await bridge.end('SIGTERM'), bridge.stderr()).toBe(0);
    return { event: lines()[0] as CanonicalEvent, records, spans: readLines<WrittenSpan>(traceFile) };
  } finally {
    home.remove();
  }
}

function readLines<T>(file: string): T[] {
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    // not there yet
  }
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as T);
}

describe('a bridge started with an SDK', () => {
  test.each([
    { by: 'NODE_OPTIONS', env: { NODE_OPTIONS: `--import ${SDK}` }, nodeOptions: [] },
    { by: 'node --import', env: {}, nodeOptions: ['--import', SDK] },
  ])('$by: one trace from the caller to every destination', async ({ env, nodeOptions }) => {
    const { event, records, spans } = await throughBridge(env, nodeOptions);

    const callbacks = spans.filter(({ name }) => name === 'callback');
    expect(callbacks.map(({ attributes }) => attributes['bridge.outcome'])).toEqual(['recorded', 'duplicate']);
    const [callback] = callbacks as [WrittenSpan];
    expect(callback).toMatchObject({ kind: SpanKind.SERVER, traceId: CALLER.traceId, parent: CALLER.spanId });
    expect(callback.attributes).toEqual({
      'bridge.command': 'Group.CallbackAfterGroupInfoChanged',
      'bridge.outcome': 'recorded',
      'http.request.method': 'POST',
      'http.route': '/callback',
      'http.response.status_code': 200,
      'cloudevents.event_id': event.id,
      'cloudevents.event_type': 'chat.group.info.changed',
      'cloudevents.event_subject': '@TGS#TEST',
    });

    // The duplicate's trace is another: the event keeps the one it was recorded with.
    const carried = { traceparent: `00-${CALLER.traceId}-${callback.spanId}-01`, tracestate: TRACESTATE };
    expect(event).toMatchObject(carried);
    expect(canonicalEvent.parse(event)).toEqual(event);

    const deliveries = spans.filter(({ name }) => name.startsWith('deliver '));
    const connectors = brokers === '' ? ['audit-file'] : ['audit-file', 'binary', 'structured'];
    expect(deliveries.map(({ name }) => name).sort()).toEqual(connectors.map((name) => `deliver ${name}`));
    for (const { thread, ...span } of deliveries) {
      expect(span).toMatchObject({ kind: SpanKind.PRODUCER, traceId: CALLER.traceId, parent: callback.spanId });
      expect(span.attributes).toMatchObject({ 'bridge.outcome': 'delivered', 'cloudevents.event_id': event.id });
      expect(thread).not.toBe(callback.thread);
    }

    if (brokers === '') return;
    const [structured, binary] = records as [TopicRecord, TopicRecord];
    expect(structured.headers).toMatchObject(carried);
    expect(JSON.parse(structured.value ?? '')).toEqual(event);
    expect(binary.headers).toMatchObject({
      ...carried,
      ce_traceparent: carried.traceparent,
      ce_tracestate: carried.tracestate,
    });
    expect(JSON.parse(binary.value ?? '')).toEqual(event.data);
  });
});

describe('a bridge started without one', () => {
  test('nothing is added to events and headers, whatever the caller sends', async () => {
    const { event, records, spans } = await throughBridge({});
    expect(spans).toEqual([]);
    expect(Object.keys(event)).not.toContain('traceparent');
    expect(Object.keys(event)).not.toContain('tracestate');
    for (const { headers } of records) expect(Object.keys(headers).filter((name) => /trace/.test(name))).toEqual([]);
  });
});

// As with `--import`, the SDK is there before what looks for it.
const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
provider.register();
const { traceDelivery } = await import('../../src/telemetry/trace.ts');
const { startReceiver } = await import('../intake/receiver.testbed.ts');

describe('with an SDK in this process', () => {
  beforeEach(() => exporter.reset());
  afterAll(() => provider.shutdown());

  const traced = (n: number): CanonicalEvent => ({
    ...madeEvent(n),
    traceparent: `00-${String(n).repeat(32)}-${String(n).repeat(16)}-01`,
  });
  const deliver = (events: readonly CanonicalEvent[], outcomes: readonly (Outcome | undefined)[]) =>
    traceDelivery(
      'here',
      events.map((event, seq) => entryOf(seq, event)),
      async () => {
        const settled = events.flatMap(({ id }, index) => (outcomes[index] ? [[id, outcomes[index]] as const] : []));
        return new Map<string, Outcome>(settled);
      },
    );
  const fault = { code: 'event-refused', message: 'a text that may hold anything' } as const;

  test('each event of a batch has a span below its own callback, with its outcome; the first leads, others are linked to it', async () => {
    const events = [traced(1), traced(2), traced(3), madeEvent(4)];
    await deliver(events, [
      { kind: 'delivered', receipt: 'there/0@1' },
      { kind: 'dead', fault },
      { kind: 'retry', fault },
    ]);
    const spans = exporter.getFinishedSpans();
    expect(spans.map(({ name }) => name)).toEqual(['deliver here', 'deliver here', 'deliver here']);
    expect(spans.map(({ parentSpanContext }) => parentSpanContext?.spanId)).toEqual(
      [1, 2, 3].map((n) => String(n).repeat(16)),
    );
    expect(spans.map(({ attributes }) => attributes['bridge.outcome'])).toEqual(['delivered', 'dead', 'retry']);
    expect(spans[0]?.attributes).toMatchObject({ 'bridge.receipt': 'there/0@1', 'messaging.batch.message_count': 4 });
    expect(spans[1]?.status).toEqual({ code: SpanStatusCode.ERROR, message: 'event-refused' });
    const lead = spans[0]?.spanContext();
    expect(spans.map(({ links }) => links.map(({ context }) => context.spanId))).toEqual([
      [],
      [lead?.spanId],
      [lead?.spanId],
    ]);
  });

  test('what the destination’s client traces lies below the first span', async () => {
    const [event] = [traced(1)];
    await traceDelivery('here', [entryOf(1, event)], async () => {
      trace.getTracer('client').startSpan('request').end();
      return new Map();
    });
    const [request, delivery] = exporter.getFinishedSpans();
    expect(request?.parentSpanContext?.spanId).toBe(delivery?.spanContext().spanId);
    expect(delivery?.attributes['bridge.outcome']).toBe('unsettled');
  });

  test('a destination that cannot be had ends the spans, and is thrown on', async () => {
    const down = new Unreachable({ code: 'destination-unreachable', message: 'down' });
    await expect(traceDelivery('here', [entryOf(1, traced(1))], () => Promise.reject(down))).rejects.toBe(down);
    const [span] = exporter.getFinishedSpans();
    expect(span?.attributes['bridge.outcome']).toBe('unreachable');
    expect(span?.status.code).toBe(SpanStatusCode.ERROR);
  });

  test('a callback that is refused or fails says so, and holds nothing of its body', async () => {
    const receiver = await startReceiver(
      {},
      { record: () => Promise.reject(new BridgeError({ code: 'journal-unwritable', message: 'no room' })) },
    );
    try {
      await receiver.post({ search: search({ SdkAppid: '1' }) });
      await receiver.post({ body: body({ Introduction: 'a secret of theirs' }) });
    } finally {
      await receiver.close();
    }
    const [refused, failed] = exporter.getFinishedSpans();
    expect(refused?.attributes).toMatchObject({ 'bridge.outcome': 'refused', 'bridge.fault': 'app-mismatch' });
    expect(refused?.attributes['http.response.status_code']).toBe(403);
    expect(refused?.status.code).toBe(SpanStatusCode.UNSET);
    expect(failed?.attributes).toMatchObject({ 'bridge.outcome': 'failed', 'bridge.fault': 'journal-unwritable' });
    expect(failed?.status.code).toBe(SpanStatusCode.ERROR);
    expect(JSON.stringify([failed?.attributes, failed?.events])).not.toContain('secret');
  });

  test('a caller that names no trace begins a new one; the id of the event is the same', async () => {
    const receiver = await startReceiver();
    try {
      await receiver.post();
      await receiver.post({ headers: { traceparent: TRACEPARENT } });
      expect(receiver.answered.map(({ outcome }) => outcome)).toEqual(['recorded', 'duplicate']);
      const [first] = exporter.getFinishedSpans();
      const [event] = receiver.recorded();
      expect(first?.parentSpanContext).toBeUndefined();
      expect(event?.traceparent).toBe(`00-${first?.spanContext().traceId}-${first?.spanContext().spanId}-01`);
      expect(Object.keys(event ?? {}).at(-1)).toBe('data');
    } finally {
      await receiver.close();
    }
  });
});

test('a message of an event without a trace has no header for it', () => {
  for (const format of ['structured', 'binary'] as const)
    expect(Object.keys(toMessage(entryOf(1, madeEvent(1)), format).headers).join()).not.toContain('trace');
});

test('what node loads first, the delivery thread loads first, and no other option', () => {
  const given = ['--import', 'a.mjs', '--import=b.mjs', '-r', 'c.cjs', '--require=d.cjs', '--max-old-space-size=99'];
  expect(preloads(given)).toEqual(given.slice(0, -1));
});
