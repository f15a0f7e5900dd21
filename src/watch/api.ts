import { Hono } from 'hono';
import type { Registry } from 'prom-client';

export interface ApiPorts {
  readonly metrics: Registry;
  /** Whether callbacks can be recorded now; otherwise why not. */
  readiness(): { readonly ready: boolean; readonly reason?: string };
}

/** The admin server, on loopback. */
export function createApi({ metrics, readiness }: ApiPorts): Hono {
  const app = new Hono();
  app.get('/healthz', (context) => context.json({ status: 'ok' }));
  app.get('/readyz', (context) => {
    const { ready, reason } = readiness();
    return ready ? context.json({ status: 'ready' }) : context.json({ status: 'not ready', reason }, 503);
  });
  app.get('/metrics', async (context) =>
    context.body(await metrics.metrics(), 200, { 'content-type': metrics.contentType }),
  );
  app.notFound((context) => context.json({ error: 'nothing is here: /healthz, /readyz and /metrics are' }, 404));
  return app;
}
