import { hash } from 'node:crypto';
import type { ChangedFields, EventId } from './event.ts';

/** Two callbacks with an equal identity are the same event. */
export interface Identity {
  readonly sdkAppId: string;
  readonly command: string;
  readonly groupId: string;
  readonly operator: string | undefined;
  readonly changed: ChangedFields;
  /** Present for events about an owner. */
  readonly owners?: readonly (string | undefined)[];
  readonly extra: Record<string, unknown>;
  /** EventTime in ms; else the service's RequestID; else something unique to this receipt. */
  readonly moment: { readonly eventTime: number } | { readonly requestId: string } | { readonly receipt: string };
}

/**
 * Returns 26 characters similar to a ULID: 10 from EventTime (zeros without one), 16 from a SHA-256 over the identity.
 * Ids of one period are close together, so that indexes stay cheap to write however many events they hold.
 */
export function eventId(identity: Identity): EventId {
  const { sdkAppId, command, groupId, operator, changed, owners, extra, moment } = identity;
  // JSON escapes lone surrogates, which UTF-8 would fold into one replacement character.
  const values = [sdkAppId, command, groupId, moment, operator, sorted(changed), sorted(extra)];
  const material = JSON.stringify(owners === undefined ? values : [...values, owners]);
  const digest = hash('sha256', material, 'buffer');
  const time = 'eventTime' in moment ? Math.min(Math.max(Math.trunc(moment.eventTime), 0), MAX_ID_TIME) : 0;
  const [high, low] = [digest.readUInt32BE(0), digest.readUInt32BE(4)];
  base32(Math.floor(time / 2 ** 25), 0, 5);
  base32(time % 2 ** 25, 5, 5);
  base32(high >>> 28, 10, 1);
  base32(((high & 0xf_ff_ff_ff) << 2) | (low >>> 30), 11, 6);
  base32(low, 17, 6);
  base32(digest.readUInt16BE(8), 23, 3);
  return idCharacters.toString('latin1');
}

const MAX_ID_TIME = 2 ** 48 - 1;
const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz';

/** Scratch buffer. Yields one flat string; concatenation would give a V8 rope that SQLite has to flatten. */
const idCharacters = Buffer.alloc(26);

/** Writes the lowest `length` × 5 of 32 bits. */
function base32(value: number, from: number, length: number): void {
  for (let place = 0; place < length; place++) {
    idCharacters[from + place] = CROCKFORD.charCodeAt((value >>> ((length - 1 - place) * 5)) & 31);
  }
}

/** Sorts entries by key, at every depth: the order of keys on the wire is meaningless. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.keys(value)
    .sort()
    .map((key) => [key, sorted((value as Record<string, unknown>)[key])]);
}
