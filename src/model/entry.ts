import type { CanonicalEvent, EventId } from './event.ts';

/** One event as a source holds it. Its text is fetched and parsed only when somebody looks inside. */
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
}

/** What is known of an entry without its text. */
export type EntryHead = Pick<Entry, 'seq' | 'id' | 'groupId' | 'receivedAt'>;

/** Makes an entry whose text is known, or is fetched when it is asked for. */
export function lazyEntry(head: EntryHead, source: string | (() => string), known?: CanonicalEvent): Entry {
  const { seq, id, groupId, receivedAt } = head;
  let text = typeof source === 'string' ? source : undefined;
  let event = known;
  return {
    seq,
    id,
    groupId,
    receivedAt,
    get text() {
      text ??= (source as () => string)();
      return text;
    },
    get event() {
      // The text was written by this program from a value of this type: it is not checked a second time.
      event ??= JSON.parse(this.text) as CanonicalEvent;
      return event;
    },
  };
}

/** Makes an entry of an event that is at hand. */
export function entryOf(seq: number, event: CanonicalEvent): Entry {
  const { groupId, receivedAt } = event.data;
  return lazyEntry({ seq, id: event.id, groupId, receivedAt }, () => JSON.stringify(event), event);
}
