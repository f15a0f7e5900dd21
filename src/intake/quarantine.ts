import { setImmediate as nextTurn } from 'node:timers/promises';
import type { QuarantinedCallback } from '../model/callback.ts';
import type { CanonicalEvent } from '../model/event.ts';
import type { SignalBus } from '../model/signal.ts';
import { checkCommand, checkTwice, parseBody } from './body.ts';
import { COMMANDS, isAboutTopic } from './commands.ts';
import type { ReceiverSettings } from './context.ts';
import { mapCallback } from './mapping.ts';
import { readQuery } from './request.ts';

interface QuarantinePorts {
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

type MapSettings = Pick<ReceiverSettings, 'sdkAppId' | 'drop' | 'maxBodyBytes'>;

const PAGE = 100;
/** The longest that mapping blocks the thread that receives callbacks, apart from a single one. */
const STEP_MS = 20;

/** The operations on the quarantine that a person may ask for, by the settings in effect then. */
export function createQuarantine(settings: () => MapSettings, { journal, reader, signals }: QuarantinePorts) {
  function* pages(most: number): Generator<readonly QuarantinedCallback[]> {
    for (let after = 0, left = most; left > 0; ) {
      const page = reader.quarantined(after, Math.min(left, PAGE));
      if (page.length === 0) return;
      after = page.at(-1)?.id ?? after;
      left -= page.length;
      yield page;
    }
  }

  /** Spares callbacks that arrive from now on: nobody has seen them yet. */
  async function discardAll(): Promise<number> {
    let count = 0;
    for (const page of pages(reader.countQuarantined())) {
      count += await journal.releaseQuarantined(page.map(({ id }) => id));
    }
    return count;
  }

  return {
    /** Maps all callbacks again: after an upgrade the bridge may know their shape. */
    async remap(): Promise<{ mapped: number; left: number }> {
      const current = settings();
      let mapped = 0;
      let since = performance.now();
      for (const page of pages(Number.POSITIVE_INFINITY)) {
        for (const callback of page) {
          if (performance.now() - since > STEP_MS) {
            await nextTurn();
            since = performance.now();
          }
          const event = mapQuarantined(current, callback);
          if (event === undefined) continue;
          // Recorded first: after a crash in between it is mapped again, to an event of the same id.
          await journal.record(event);
          await journal.releaseQuarantined([callback.id]);
          mapped++;
        }
      }
      const left = reader.countQuarantined();
      if (mapped > 0 || left > 0) signals.emit('quarantine.mapped', { mapped, left });
      return { mapped, left };
    },
    /** Discards the callbacks with these ids, or all that there are now; resolves with their number. */
    async discard(ids?: readonly number[]): Promise<number> {
      const count = await (ids === undefined ? discardAll() : journal.releaseQuarantined(ids));
      if (count > 0) signals.emit('quarantine.discarded', { count });
      return count;
    },
  };
}

/** Returns undefined if the bridge still does not know the callback's shape. */
function mapQuarantined(
  { sdkAppId, drop, maxBodyBytes }: MapSettings,
  { id, receivedAt, search, body }: QuarantinedCallback,
) {
  const query = readQuery(search);
  const parsed = parseBody(body, maxBodyBytes);
  if (!query.ok || !parsed.ok) return undefined;
  const { command = '' } = query.value;
  const { fields, lossy } = parsed.value;
  // What contradicts itself, or cannot be read without loss, is left to a person.
  if (isAboutTopic(fields) || lossy || (checkCommand(command, fields) ?? checkTwice(parsed.value))) return undefined;
  const callback = COMMANDS.get(command)?.(fields, { strict: true, drop });
  // The quarantine id is the nonce, so that mapping twice gives the same event.
  const receipt = { at: receivedAt, nonce: `quarantine ${id}` };
  return callback?.ok ? mapCallback(sdkAppId, query.value, callback.value, receipt) : undefined;
}
