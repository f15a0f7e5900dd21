import { Hono } from 'hono';
import type { Registry } from 'prom-client';
import type { Clock } from '../canon/clock.ts';
import type { SignalBus } from '../canon/signal.ts';
import { type AccessSettings, guardAccess } from './access.ts';
import type { ConnectorStatus } from './api.ts';

export interface WorkerStatus {
  readonly ready: boolean;
  /** Why it is not ready. */
  readonly reason?: string;
  readonly source: { readonly topic: string; readonly groupId: string; readonly deadLetters: string };
  /** `cursor` counts from the end of the partitions that are the worker's own. */
  readonly connectors: readonly (ConnectorStatus & { readonly partitions: readonly number[] })[];
}

export interface WorkerApiPorts {
  readonly metrics: Registry;
  status(): WorkerStatus;
  readonly access: AccessSettings;
  readonly clock: Clock;
  readonly signals: SignalBus;
}

/** The admin server of a worker: health, metrics, status. What a bridge offers beside rests on its journal. */
export function createWorkerApi({ metrics, status, access, clock, signals }: WorkerApiPorts): Hono {
  const app = new Hono();
  app.get('/healthz', (context) => context.json({ status: 'ok' }));
  app.get('/readyz', (context) => {
    const { ready, reason } = status();
    return ready ? context.json({ status: 'ready' }) : context.json({ status: 'not ready', reason }, 503);
  });
  guardAccess(app, access, clock, signals);
  app.get('/metrics', async (context) =>
    context.body(await metrics.metrics(), 200, { 'content-type': metrics.contentType }),
  );
  app.get('/api/status', (context) => context.json(status()));
  app.notFound((context) => {
    const fault = {
      code: 'usage',
      message: 'a worker does not offer this',
      suggestion: '/healthz, /readyz, /metrics and /api/status it has; ask the receiving bridge for the rest',
    };
    return context.json({ fault }, 404);
  });
  return app;
}
