import type { Hono } from 'hono';
import type { ConnectorStatus } from './api.ts';
import { type AdminPorts, createAdmin } from './base.ts';

export interface WorkerStatus {
  readonly ready: boolean;
  /** Why it is not ready. */
  readonly reason?: string;
  readonly source: { readonly topic: string; readonly groupId: string; readonly deadLetters: string };
  /** `cursor` counts from the end of the partitions that are the worker's own. */
  readonly connectors: readonly (ConnectorStatus & { readonly partitions: readonly number[] })[];
}

export interface WorkerApiPorts extends AdminPorts {
  status(): WorkerStatus;
}

/** The admin server of a worker: health, metrics, status. What a bridge offers beside rests on its journal. */
export function createWorkerApi(ports: WorkerApiPorts): Hono {
  const app = createAdmin(ports);
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
