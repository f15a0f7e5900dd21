import type { CanonicalEvent } from '../../src/canon/event.ts';

export const FORMATS = ['structured', 'binary'] as const;
export type Format = (typeof FORMATS)[number];

export interface KafkaMessage {
  readonly key: string;
  readonly value: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

const STRUCTURED = { 'content-type': 'application/cloudevents+json; charset=UTF-8' };

/** The CloudEvents Kafka protocol binding 1.0: the whole event as the value, or its attributes as `ce_` headers. */
export function toMessage(event: CanonicalEvent, format: Format): KafkaMessage {
  const key = event.subject;
  if (format === 'structured') {
    return { key, value: Buffer.from(JSON.stringify(event)), headers: STRUCTURED };
  }
  return {
    key,
    value: Buffer.from(JSON.stringify(event.data)),
    headers: {
      'content-type': event.datacontenttype,
      ce_specversion: event.specversion,
      ce_id: event.id,
      ce_source: event.source,
      ce_type: event.type,
      ce_subject: event.subject,
      ce_time: event.time,
      ce_dataschema: event.dataschema,
    },
  };
}

/** Bytes in a record batch, from above: key, value, headers and what the record format adds. */
export function sizeOf(message: KafkaMessage): number {
  let bytes = 70 + Buffer.byteLength(message.key) + message.value.byteLength;
  for (const [name, value] of Object.entries(message.headers)) bytes += 10 + name.length + Buffer.byteLength(value);
  return bytes;
}
