import type { CanonicalEvent, EventId } from './event.ts';

/** One event as a source holds it. Its text is fetched and parsed only when needed. */
export interface Entry {
  /** Its place in the order of its source; a later entry has a higher one. */
  readonly seq: number;
  readonly id: EventId;
  readonly groupId: string;
  /** Milliseconds since 1970. */
  readonly receivedAt: number;
  /** The event as JSON, exactly as it was recorded. */
  readonly text: string;
  readonly event: CanonicalEvent;
  /** Drops what can be fetched again. */
  release?(): void;
}

export type EntryHead = Pick<Entry, 'seq' | 'id' | 'groupId' | 'receivedAt'>;

type Known = { readonly text?: string; readonly event?: CanonicalEvent };

/** Makes an entry whose text is fetched on demand, unless it is known. */
export function lazyEntry(head: EntryHead, fetch: () => string, known: Known = {}): Entry {
  const { seq, id, groupId, receivedAt } = head;
  let { text, event } = known;
  const atHand = event;
  return {
    seq,
    id,
    groupId,
    receivedAt,
    get text() {
      text ??= fetch();
      return text;
    },
    get event() {
      // This program wrote the text from a value of this type: it is not checked a second time.
      event ??= JSON.parse(this.text) as CanonicalEvent;
      return event;
    },
    release() {
      text = undefined;
      event = atHand;
    },
  };
}

export function entryOf(seq: number, event: CanonicalEvent): Entry {
  const { groupId, receivedAt } = event.data;
  return lazyEntry({ seq, id: event.id, groupId, receivedAt }, () => JSON.stringify(event), { event });
}
