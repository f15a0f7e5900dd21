import type { CanonicalEvent } from '../model/event.ts';
import type { QuarantinedCallback } from '../model/quarantine.ts';
import type { SignalBus } from '../model/signal.ts';
import { parseBody } from './body.ts';
import { COMMANDS } from './commands.ts';
import { mapCallback } from './mapping.ts';
import { readQuery } from './query.ts';

export interface QuarantinePorts {
  readonly journal: {
    record(event: CanonicalEvent): Promise<unknown>;
    releaseQuarantined(ids: readonly number[]): Promise<number>;
  };
  readonly reader: {
    countQuarantined(): number;
    /** Returns at most `limit` callbacks after the id `after`, in order. */
    quarantined(after: number, limit: number): readonly QuarantinedCallback[];
  };
  readonly signals: SignalBus;
}

/** The operations on the quarantine that a person may ask for. */
export interface Quarantine {
  /** Maps all callbacks again: an upgrade may have taught the bridge their shape. */
  remap(): Promise<{ mapped: number; left: number }>;
  /** Discards the callbacks with these ids, or all that there are now; resolves with how many there were. */
  discard(ids?: readonly number[]): Promise<number>;
}

const PAGE = 100;

export function createQuarantine(sdkAppId: string, { journal, reader, signals }: QuarantinePorts): Quarantine {
  return {
    async remap() {
      let mapped = 0;
      let after = 0;
      for (;;) {
        const page = reader.quarantined(after, PAGE);
        if (page.length === 0) break;
        for (const callback of page) {
          after = callback.id;
          const event = mapQuarantined(sdkAppId, callback);
          if (event === undefined) continue;
          // Recorded first: after a crash in between, it is mapped again, and its id makes it the same event.
          await journal.record(event);
          await journal.releaseQuarantined([callback.id]);
          mapped++;
        }
      }
      const left = reader.countQuarantined();
      if (mapped > 0 || left > 0) signals.emit('quarantine.mapped', { mapped, left });
      return { mapped, left };
    },
    async discard(ids) {
      const count = await (ids === undefined ? discardAll() : journal.releaseQuarantined(ids));
      if (count > 0) signals.emit('quarantine.discarded', { count });
      return count;
    },
  };

  /** Leaves callbacks that arrive from now on: nobody has seen them yet. */
  async function discardAll(): Promise<number> {
    let count = 0;
    for (let left = reader.countQuarantined(), after = 0; left > 0; ) {
      const page = reader.quarantined(after, Math.min(left, PAGE));
      if (page.length === 0) break;
      after = page.at(-1)?.id ?? after;
      left -= page.length;
      count += await journal.releaseQuarantined(page.map(({ id }) => id));
    }
    return count;
  }
}

/** Returns the event of a quarantined callback; undefined if the bridge still does not know its shape. */
function mapQuarantined(
  sdkAppId: string,
  { id, receivedAt, search, body }: QuarantinedCallback,
): CanonicalEvent | undefined {
  const query = readQuery(search);
  const parsed = parseBody(Buffer.from(body));
  if (!query.ok || !parsed.ok || query.value.command === undefined) return undefined;
  const callback = COMMANDS.get(query.value.command)?.read(parsed.value);
  // The nonce is its id in the quarantine, so that mapping it twice gives the same event.
  const receipt = { at: receivedAt, nonce: `quarantine ${id}` };
  return callback?.ok ? mapCallback(sdkAppId, query.value, callback.value, receipt) : undefined;
}
