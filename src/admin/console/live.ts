import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import { streamSSE } from 'hono/streaming';
import type { Clock } from '../../model/clock.ts';
import type { Part } from './layout.ts';

const EVERY_MS = 1_000;
/** Sending the time lets both sides notice that the other is gone, and sets the page's clock to the bridge's. */
const TIME_MS = 10_000;
const MOST_WATCHERS = 24;
/** Rendering takes place on the thread that receives callbacks: after each part it rests so many times as long. */
const REST = 9;
/** Limits the updates of a part by its size, so that no more is rendered than people can look at. */
const CHARACTERS_PER_MS = 64;

export function createLive(clock: Clock, stopping: AbortSignal) {
  /** The connections that follow a page. Each may do so once, since pipelined answers would wait for one another. */
  const watchers = new Set<HttpBindings['incoming']['socket']>();
  /** The latest rendering of each part, which all its watchers share. */
  const latest = new Map<string, { readonly at: number; readonly html: Promise<string> }>();
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = (render: () => Promise<string>): Promise<string> => {
    const begun = turn.then(() => {
      const start = performance.now();
      const html = render();
      return { html, restMs: (performance.now() - start) * REST };
    });
    turn = begun.then(({ restMs }) => clock.sleep(restMs, stopping));
    return begun.then(({ html }) => html);
  };
  const shared = (key: string, everyMs: number, render: () => Promise<string>): Promise<string> => {
    const known = latest.get(key);
    const at = performance.now();
    // Watchers never ask at exactly the same moment.
    if (known !== undefined && at - known.at < everyMs * 0.9) return known.html;
    const html = inTurn(render);
    latest.set(key, { at, html });
    return html;
  };
  return {
    /** Sends each live part whenever it has changed, until the caller leaves; answers 503 if there are too many callers. */
    watch(context: Context, at: string, parts: readonly Part[], rendered: (part: Part) => Promise<string>): Response {
      const { socket } = (context.env as HttpBindings).incoming;
      if (context.req.method === 'HEAD') return context.body(null);
      if (watchers.size >= MOST_WATCHERS || watchers.has(socket)) {
        return context.text('too many pages are being watched', 503);
      }
      watchers.add(socket);
      const left = new AbortController();
      const leave = (): void => {
        left.abort();
        watchers.delete(socket);
      };
      // The server allows half-open connections; here, a client that ends its side has left.
      socket.once('end', () => socket.destroy()).once('close', leave);
      const response = streamSSE(context, async (stream) => {
        stream.onAbort(leave);
        const over = AbortSignal.any([left.signal, stopping]);
        const until = async (ms: number): Promise<boolean> => {
          await clock.sleep(ms, over);
          return !over.aborted;
        };
        const time = async (): Promise<void> => {
          do await stream.writeSSE({ event: 'time', data: String(clock.now()) });
          while (await until(TIME_MS));
        };
        const follow = async (part: Part): Promise<void> => {
          const everyMs = part.every ?? EVERY_MS;
          let sent = '';
          let restMs = 0;
          do {
            const html = await shared(`${at}#${part.id}`, everyMs, () => rendered(part));
            restMs = 0;
            if (html !== sent && !over.aborted) {
              await stream.writeSSE({ event: 'part', data: JSON.stringify({ id: part.id, html }) });
              restMs = html.length / CHARACTERS_PER_MS;
            }
            sent = html;
          } while (await until(Math.max(everyMs, restMs)));
        };
        try {
          await Promise.all([time(), ...parts.filter(({ id }) => id !== undefined).map(follow)]);
        } finally {
          leave();
          for (const { id } of parts) latest.delete(`${at}#${id}`);
        }
      });
      response.headers.set('cache-control', 'no-store');
      // A stopping bridge would wait for an idle connection.
      response.headers.set('connection', 'close');
      return response;
    },
  };
}
