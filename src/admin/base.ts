import { Hono } from 'hono';
import type { Registry } from 'prom-client';
import type { Clock } from '../model/clock.ts';
import type { Fault } from '../model/fault.ts';
import type { SignalBus } from '../model/signal.ts';
import { type AccessSettings, guardAccess } from './access.ts';

export interface AdminPorts {
  readonly metrics: Registry;
  status(): { readonly ready: boolean; readonly reason?: string };
  /** Who may ask. */
  readonly access: AccessSettings;
  readonly clock: Clock;
  readonly signals: SignalBus;
}

/** What every admin server answers, of a bridge and of a worker: health to anybody, metrics and status to whom it lets in. */
export function createAdmin({ metrics, status, access, clock, signals }: AdminPorts): Hono {
  const app = new Hono();
  app.get('/healthz', (context) => context.json({ status: 'ok' }));
  app.get('/readyz', (context) => {
    const { ready, reason } = status();
    return ready ? context.json({ status: 'ready' }) : context.json({ status: 'not ready', reason }, 503);
  });
  // Whatever stands below, here and at the callers, asks who is there.
  guardAccess(app, access, clock, signals);
  app.get('/metrics', async (context) =>
    context.body(await metrics.metrics(), 200, { 'content-type': metrics.contentType }),
  );
  app.get('/api/status', (context) => context.json(status()));
  return app;
}

/** Returns the body that answers what is no HTTP request, as all other refusals of an admin server. */
export function malformedBody(why: string): string {
  const fault: Fault = { code: 'usage', message: why };
  return JSON.stringify({ fault });
}
