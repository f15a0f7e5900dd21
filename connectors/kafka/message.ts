import { STATE_HEADER } from '../../src/client/group.ts';
import type { Entry } from '../../src/model/entry.ts';
import { type CanonicalEvent, type TraceContext, withoutSchema } from '../../src/model/event.ts';
import type { Group } from '../../src/model/group.ts';
import type { Shape } from '../../src/model/shape.ts';
import { fill } from '../../src/model/template.ts';

export const FORMATS = ['structured', 'binary'] as const;
export type Format = (typeof FORMATS)[number];

export interface KafkaMessage {
  readonly key: string;
  /** null is a tombstone: compaction removes the key. */
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
}

const STRUCTURED = { 'content-type': 'application/cloudevents+json; charset=UTF-8' };

/**
 * The CloudEvents Kafka protocol binding 1.0: the whole event as the value, or its attributes as `ce_` headers. A
 * structured entry is not parsed unless its text shows a trace. An entry in a shape is the value in either mode.
 */
export function toMessage(
  entry: Pick<Entry, 'groupId' | 'text' | 'event'>,
  format: Format,
  shape?: Shape,
  given: Headers = {},
): KafkaMessage {
  const key = shape?.key.of(entry.groupId) ?? entry.groupId;
  const own = Object.keys(given).length === 0 ? undefined : filled(given, () => wordsOfEvent(entry.event));
  // A shape may have moved the trace; the event was parsed for it anyway.
  const traced = shape !== undefined || entry.text.includes('"traceparent":');
  const trace = traced ? traceOf(entry.event) : undefined;
  if (format === 'structured') {
    const type = shape?.isCloudEvent === false ? JSON_TYPE : STRUCTURED;
    return { key, value: Buffer.from(entry.text), headers: trace || own ? { ...type, ...trace, ...own } : type };
  }
  const { data, datacontenttype, ...attributes } = shape === undefined ? entry.event : withoutSchema(entry.event);
  const its = Object.entries(attributes).map(([name, value]) => [`ce_${name}`, value]);
  return {
    key,
    value: Buffer.from(shape === undefined ? JSON.stringify(data) : entry.text),
    headers: { 'content-type': datacontenttype, ...Object.fromEntries(its), ...trace, ...own },
  };
}

type Headers = Readonly<Record<string, string>>;
type Words = Readonly<Record<string, string>>;

/** Does not parse the event for constant headers. */
function filled(headers: Headers, words: () => Words): Headers {
  const entries = Object.entries(headers);
  if (!entries.some(([, value]) => value.includes('{'))) return headers;
  const its = words();
  return Object.fromEntries(entries.map(([name, value]) => [name, fill(value, its)]));
}

/** The values for the words in headers and in a topic's name. */
export function wordsOfEvent({ id, type, source, data: { groupId, groupType } }: CanonicalEvent): Words {
  return { id, type, source, groupId, groupType, app: appOf(source) };
}

export const appOf = (source: string): string => source.slice(source.lastIndexOf(':') + 1);

/** The headers by which tracing clients pass on a context, in addition to the CloudEvents attributes. */
function traceOf({ traceparent, tracestate }: TraceContext): Record<string, string> | undefined {
  if (!traceparent) return undefined;
  return { traceparent, ...(tracestate && { tracestate }) };
}

/** The merged state of a group under its id; a tombstone when it is destroyed. */
export function toGroupMessage(group: Group, shape?: Shape, given: Headers = {}): KafkaMessage {
  const { groupId, groupType = '', source = '' } = group;
  const key = shape?.key.of(groupId) ?? groupId;
  const own = filled(given, () => ({ groupId, groupType, source, app: appOf(source) }));
  // Workers and readers know the header in this shape.
  if (group.destroyed) return { key, value: null, headers: { ...own, [STATE_HEADER]: JSON.stringify(group) } };
  return { key, value: Buffer.from(JSON.stringify(shape?.out(group) ?? group)), headers: { ...JSON_TYPE, ...own } };
}

const JSON_TYPE = { 'content-type': 'application/json' };

/** Returns an upper bound of a message's size in a record batch: key, value, headers and the record format's overhead. */
export function sizeOf(message: KafkaMessage): number {
  const own = 70 + Buffer.byteLength(message.key) + (message.value?.byteLength ?? 0);
  return own + (message.headers === STRUCTURED ? STRUCTURED_BYTES : sizeOfHeaders(message.headers));
}

function sizeOfHeaders(headers: KafkaMessage['headers']): number {
  let bytes = 0;
  for (const [name, value] of Object.entries(headers)) bytes += 10 + name.length + Buffer.byteLength(value);
  return bytes;
}

const STRUCTURED_BYTES = sizeOfHeaders(STRUCTURED);

/**
 * The partition that Java's default partitioner chooses for a key: murmur2, made positive. kafkajs computes the same in
 * emulated 64-bit numbers, which took a tenth of the cost of delivering an event.
 */
export function partitionOf(key: string | Buffer, partitions: number): number {
  return (murmur2(typeof key === 'string' ? Buffer.from(key) : key) & 0x7f_ff_ff_ff) % partitions;
}

const M = 0x5b_d1_e9_95;

function murmur2(data: Buffer): number {
  const whole = data.length & ~3;
  let hash = 0x97_47_b2_8c ^ data.length;
  for (let at = 0; at < whole; at += 4) {
    let word = Math.imul(data.readInt32LE(at), M);
    word = Math.imul(word ^ (word >>> 24), M);
    hash = Math.imul(hash, M) ^ word;
  }
  if (whole < data.length) hash = Math.imul(hash ^ data.readUIntLE(whole, data.length - whole), M);
  hash = Math.imul(hash ^ (hash >>> 13), M);
  return hash ^ (hash >>> 15);
}
