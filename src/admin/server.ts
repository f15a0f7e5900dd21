import { Hono } from 'hono';
import type { Registry } from 'prom-client';
import type { Clock } from '../model/clock.ts';
import type { Fault } from '../model/fault.ts';
import type { SignalBus } from '../model/signal.ts';
import { sumsOf } from '../telemetry/meter.ts';
import { guardAccess, guardRequests } from './access/guard.ts';
import type { BridgeState, Status, WorkerState } from './contract.ts';
import { answerError, malformedBody, refuse } from './refusal.ts';

export interface AdminPorts {
  readonly metrics: Registry;
  status(): BridgeState | WorkerState;
  /** Without it, only requests from this machine are answered. */
  readonly token: string | undefined;
  readonly clock: Clock;
  readonly signals: SignalBus;
}

/** How an admin server listens, without taking connections that the receiver needs. */
export const ADMIN_SERVER = {
  section: 'admin',
  malformedBody,
  // Connections are closed a second later.
  keepAliveMs: 55_000,
  stalledMs: 60_000,
} as const;

const NOTHING_HERE: Fault = { code: 'usage', message: 'nothing is here' };
const NOT_OF_A_WORKER: Fault = {
  code: 'usage',
  message: 'a worker does not offer this',
  suggestion:
    'it has status, pause, resume and dead-letters, /healthz, /readyz and /metrics; ask the receiving bridge for the rest',
};

/** Returns what a bridge and a worker have in common; a bridge adds the rest behind the same guard. */
export function createAdminServer({ metrics, status, token, clock, signals }: AdminPorts) {
  const app = new Hono();
  app.notFound((context) => refuse(context, 'source' in status() ? NOT_OF_A_WORKER : NOTHING_HERE, 404));
  app.onError(answerError);
  guardRequests(app);
  app.get('/healthz', (context) => context.json({ status: 'ok' }));
  app.get('/readyz', (context) => {
    const { ready, reason, warnings } = status();
    // Warnings do not make it unready: callbacks that are turned away are lost.
    return ready
      ? context.json({ status: 'ready', warnings })
      : context.json({ status: 'not ready', reason, warnings }, 503);
  });
  guardAccess(app, token, clock, signals);
  app.get('/metrics', async (context) =>
    context.body(await metrics.metrics(), 200, { 'content-type': metrics.contentType }),
  );
  return app.get('/api/status', async (context) => context.json(await withMeasures(status(), metrics)));
}

/** Adds what the metrics measure, so that the status always agrees with them. */
async function withMeasures(state: BridgeState | WorkerState, metrics: Registry): Promise<Status> {
  const delivered = await sumsOf(metrics, 'bridge_delivered_total', 'connector');
  const measured = <Connector extends { name: string }>(connectors: readonly Connector[]) =>
    connectors.map((connector) => ({ ...connector, delivered: delivered.get(connector.name) ?? 0 }));
  if ('source' in state) return { ...state, connectors: measured(state.connectors) };
  const answered = await sumsOf(metrics, 'bridge_callbacks_total', 'outcome');
  const callbacks = [...answered.values()].reduce((sum, count) => sum + count, 0);
  return { ...state, callbacks, connectors: measured(state.connectors) };
}
