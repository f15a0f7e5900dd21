import type { Context } from 'hono';
import { streamSSE } from 'hono/streaming';
import { systemClock } from '../../model/clock.ts';
import type { Part } from './layout.ts';

const EVERY_MS = 1_000;
/** Lets both sides notice that the other is gone, and keeps the page's clock to the bridge's. */
const TIME_MS = 10_000;
/** Pages are rendered on the thread that receives callbacks. */
const MOST_WATCHERS = 24;

export interface Live {
  /** Sends each live part whenever it has changed, while the caller looks; answers 503 beyond the most that may look at once. */
  watch(context: Context, parts: readonly Part[], rendered: (part: Part) => Promise<string>): Response;
}

export function createLive(now: () => number, stopping: AbortSignal): Live {
  let watchers = 0;
  return {
    watch(context, parts, rendered) {
      if (watchers >= MOST_WATCHERS) return context.text('too many pages are being watched', 503);
      watchers++;
      const response = streamSSE(context, async (stream) => {
        const left = new AbortController();
        stream.onAbort(() => left.abort());
        const over = AbortSignal.any([left.signal, stopping]);
        const until = async (ms: number): Promise<boolean> => {
          await systemClock.sleep(ms, over);
          return !over.aborted;
        };
        const time = async (): Promise<void> => {
          do await stream.writeSSE({ event: 'time', data: String(now()) });
          while (await until(TIME_MS));
        };
        const follow = async (part: Part): Promise<void> => {
          let sent = '';
          do {
            const html = await rendered(part);
            if (html !== sent && !over.aborted) {
              await stream.writeSSE({ event: 'part', data: JSON.stringify({ id: part.id, html }) });
            }
            sent = html;
          } while (await until(part.every ?? EVERY_MS));
        };
        try {
          await Promise.all([time(), ...parts.filter(({ id }) => id !== undefined).map(follow)]);
        } finally {
          watchers--;
        }
      });
      response.headers.set('cache-control', 'no-store');
      // Otherwise a bridge that stops would wait for the idle connection.
      response.headers.set('connection', 'close');
      return response;
    },
  };
}
