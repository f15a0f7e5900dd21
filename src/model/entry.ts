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
export function lazyEntry({ seq, id, groupId, receivedAt }: EntryHead, source: string | (() => string)): Entry {
  let text = typeof source === 'string' ? source : undefined;
  let event: CanonicalEvent | undefined;
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
  const { id, data } = event;
  let text: string | undefined;
  return {
    seq,
    id,
    groupId: data.groupId,
    receivedAt: data.receivedAt,
    event,
    get text() {
      text ??= JSON.stringify(event);
      return text;
    },
  };
}
