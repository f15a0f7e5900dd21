/** An event as a request, and its signature. */
import { createHmac } from 'node:crypto';
import type { Entry } from '../../src/model/entry.ts';
import { type CanonicalEvent, withoutSchema } from '../../src/model/event.ts';
import type { Shape } from '../../src/model/shape.ts';

export const FORMATS = ['structured', 'binary'] as const;

export interface Message {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/**
 * The CloudEvents HTTP binding 1.0: the whole event as the body, or its attributes as `ce-` headers. An event in a shape
 * is the body in either mode.
 */
export function toMessage(
  { text, event }: Pick<Entry, 'text' | 'event'>,
  format: (typeof FORMATS)[number],
  shape?: Pick<Shape, 'isCloudEvent'>,
): Message {
  const trace = traceOf(event);
  if (format === 'structured') {
    const type = shape?.isCloudEvent === false ? 'application/json' : 'application/cloudevents+json; charset=UTF-8';
    return { headers: { 'content-type': type, ...trace }, body: Buffer.from(text) };
  }
  const { data, datacontenttype, ...attributes } = shape === undefined ? event : withoutSchema(event);
  const headers = Object.entries(attributes).map(([name, value]) => [`ce-${name}`, encode(value)]);
  return {
    headers: { 'content-type': datacontenttype, ...Object.fromEntries(headers), ...trace },
    body: Buffer.from(shape === undefined ? JSON.stringify(data) : text),
  };
}

/** The headers by which tracing clients pass on a context, in addition to the CloudEvents attributes. */
function traceOf({ traceparent, tracestate }: CanonicalEvent): Record<string, string> {
  return Object.fromEntries(
    Object.entries({ traceparent, tracestate }).filter((header): header is [string, string] =>
      /^[\x20-\x7e]+$/.test(header[1] ?? ''),
    ),
  );
}

/** Encodes text for a header as the binding requires: percent-encoded unless it is visible ASCII. */
function encode(text: string): string {
  return text.replace(/[^\x21\x23\x24\x26-\x7e]/gu, (character) =>
    Buffer.from(character).reduce((done, byte) => `${done}%${byte.toString(16).toUpperCase().padStart(2, '0')}`, ''),
  );
}

/** The headers of Standard Webhooks: the same id for each attempt, and one signature per secret. */
export function webhookHeaders(
  eventId: string,
  body: Buffer,
  secrets: readonly string[],
  now: number,
): Record<string, string> {
  const id = encode(eventId);
  const timestamp = String(Math.floor(now / 1_000));
  const signatures = secrets.map((secret) => {
    const hmac = createHmac('sha256', keyOf(secret)).update(`${id}.${timestamp}.`).update(body);
    return `v1,${hmac.digest('base64')}`;
  });
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    ...(signatures.length > 0 && { 'webhook-signature': signatures.join(' ') }),
  };
}

const PREFIX = 'whsec_';

const keyOf = (secret: string): Buffer => Buffer.from(secret.slice(PREFIX.length), 'base64');

/** Whether it is a secret in the form of Standard Webhooks: 24 to 64 bytes in base64 after `whsec_`. */
export function isSecret(text: string): boolean {
  if (!/^whsec_[A-Za-z0-9+/]+={0,2}$/.test(text)) return false;
  const { length } = keyOf(text);
  return length >= 24 && length <= 64;
}
