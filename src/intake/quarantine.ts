import type { CanonicalEvent } from '../model/event.ts';
import { readBody, readCallback, readQuery } from './callback.ts';
import { mapCallback } from './mapping.ts';

/** A callback that was kept as it came. */
export interface KeptCallback {
  readonly id: number;
  readonly receivedAt: number;
  readonly search: string;
  readonly body: string;
}

/** The event of a kept callback, now that the bridge may know its shape; undefined when it still does not. */
export function mapKept(sdkAppId: string, { id, receivedAt, search, body }: KeptCallback): CanonicalEvent | undefined {
  const query = readQuery(search);
  const parsed = readBody(Buffer.from(body));
  if (!query.ok || !parsed.ok || query.value.command === undefined) return undefined;
  const callback = readCallback(query.value.command, parsed.value);
  if (!callback.ok) return undefined;
  // The nonce is that of its place in the quarantine, so that mapping it twice gives the same event.
  return mapCallback(sdkAppId, query.value, callback.value, { at: receivedAt, nonce: `quarantine ${id}` });
}
