import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { type Callback, callback } from './callback.ts';
import { announce, FAIL, OK } from './envelope.ts';

const JSON_TYPE = { 'content-type': 'application/json' };

/** A receiver on Hono and zod that answers OK once `keep` has resolved. */
export function serveCallbacks(keep: (callback: Callback) => Promise<void>): void {
  const app = new Hono();
  app.post('/callback', async (context) => {
    const parsed = callback.safeParse(await context.req.json());
    if (!parsed.success) return context.body(FAIL, 400, JSON_TYPE);
    await keep(parsed.data);
    return context.body(OK, 200, JSON_TYPE);
  });
  serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => announce(port));
}
