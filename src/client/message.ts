import type { z } from 'zod';
import { plainly } from '../model/complaint.ts';
import type { MessageFault } from '../model/fault.ts';

type Bytes = Uint8Array | string;

/** A Kafka message as kafkajs and other clients represent it. */
export interface IncomingMessage {
  /** The group id. */
  readonly key?: Bytes | null | undefined;
  /** null is a tombstone. */
  readonly value: Bytes | null;
  /** With `format: binary`, the attributes of the event. */
  readonly headers?: Readonly<Record<string, Bytes | readonly Bytes[] | undefined>> | undefined;
}

export interface Unreadable {
  readonly ok: false;
  readonly fault: MessageFault;
}

export const unreadable = (fault: MessageFault): Unreadable => ({ ok: false, fault });

/** Returns the text of a key or value; undefined if the bytes are not UTF-8. */
export function textOf(bytes: Bytes): string | undefined {
  if (typeof bytes === 'string') return bytes;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Returns every header as text, by its name in lower case; the last value of each. */
export function headersOf(message: IncomingMessage): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [name, value] of Object.entries(message.headers ?? {})) {
    const last = Array.isArray(value) ? value.at(-1) : value;
    const text = last === undefined ? undefined : textOf(last as Bytes);
    if (text !== undefined) found.set(name.toLowerCase(), text);
  }
  return found;
}

export function jsonOf(bytes: Bytes): { readonly ok: true; readonly value: unknown } | Unreadable {
  const text = textOf(bytes);
  if (text === undefined) return unreadable({ code: 'message-not-json', message: 'the value is not UTF-8' });
  try {
    return { ok: true, value: JSON.parse(text) };
  } catch (thrown) {
    return unreadable({ code: 'message-not-json', message: `the value is not JSON: ${(thrown as Error).message}` });
  }
}

/** Names the first problem, which is enough to find the writer. */
export function invalid(what: string, error: z.ZodError, suggestion?: string): Unreadable {
  const [issue] = error.issues;
  const path = issue?.path.map(String).join('.') ?? '';
  return unreadable({
    code: 'message-invalid',
    message: `not ${what}: ${plainly(issue?.message ?? error.message)}`,
    ...(path !== '' && { path }),
    ...(suggestion !== undefined && { suggestion }),
  });
}
