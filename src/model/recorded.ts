import type { CanonicalEvent, EventData, EventId, EventType } from './event.ts';

/**
 * An event as it was recorded: its text is parsed only when somebody looks inside. Connectors that hand the text on, or
 * that keep merged groups, need no more of the event than its id and its group.
 */
class RecordedEvent implements CanonicalEvent {
  readonly id: EventId;
  readonly subject: string;
  #text: string | (() => string);
  #parsed: CanonicalEvent | undefined;

  constructor(id: EventId, subject: string, text: string | (() => string)) {
    this.id = id;
    this.subject = subject;
    this.#text = text;
  }

  static textOf(event: CanonicalEvent): string {
    return event instanceof RecordedEvent ? event.#read() : JSON.stringify(event);
  }

  #read(): string {
    if (typeof this.#text !== 'string') this.#text = this.#text();
    return this.#text;
  }

  get #event(): CanonicalEvent {
    // It was written by this program from a value of this type: not checked a second time.
    this.#parsed ??= JSON.parse(this.#read()) as CanonicalEvent;
    return this.#parsed;
  }

  get specversion(): '1.0' {
    return this.#event.specversion;
  }
  get source(): string {
    return this.#event.source;
  }
  get type(): EventType {
    return this.#event.type;
  }
  get time(): string {
    return this.#event.time;
  }
  get datacontenttype(): 'application/json' {
    return this.#event.datacontenttype;
  }
  get dataschema(): string {
    return this.#event.dataschema;
  }
  get traceparent(): string | undefined {
    return this.#isTraced() ? this.#event.traceparent : undefined;
  }
  get tracestate(): string | undefined {
    return this.#isTraced() ? this.#event.tracestate : undefined;
  }
  get data(): EventData {
    return this.#event.data;
  }

  /** Most are not, which their text tells without being parsed. */
  #isTraced(): boolean {
    return this.#read().includes('"traceparent":');
  }

  toJSON(): CanonicalEvent {
    return this.#event;
  }
}

/** `text` may be a function that fetches it. */
export function recordedEvent(id: EventId, subject: string, text: string | (() => string)): CanonicalEvent {
  return new RecordedEvent(id, subject, text);
}

/** The event as JSON: as it was recorded, where it comes from the journal. */
export function textOf(event: CanonicalEvent): string {
  return RecordedEvent.textOf(event);
}
