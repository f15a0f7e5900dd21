import { type Context, Hono } from 'hono';
import type { Registry } from 'prom-client';
import { z } from 'zod';
import type { Clock } from '../model/clock.ts';
import { adminStatus, BridgeError, type Fault, messageOf } from '../model/fault.ts';
import type { SignalBus } from '../model/signal.ts';
import { type AccessSettings, guardAccess } from './access.ts';
import type { BridgeState, Status, WorkerState } from './contract.ts';

export interface AdminPorts {
  readonly metrics: Registry;
  status(): BridgeState | WorkerState;
  readonly access: AccessSettings;
  readonly clock: Clock;
  readonly signals: SignalBus;
}

const NOTHING_HERE: Fault = { code: 'usage', message: 'nothing is here' };
const NOT_OF_A_WORKER: Fault = {
  code: 'usage',
  message: 'a worker does not offer this',
  suggestion: '/healthz, /readyz, /metrics and /api/status it has; ask the receiving bridge for the rest',
};

/**
 * The admin server of a bridge or of a worker: health for everybody, metrics and status for those whom `access` lets in. A
 * bridge adds what rests on its journal, behind the same guard.
 */
export function createAdminServer({ metrics, status, access, clock, signals }: AdminPorts) {
  const app = new Hono();
  app.notFound((context) => refuse(context, 404, 'source' in status() ? NOT_OF_A_WORKER : NOTHING_HERE));
  app.onError(answerError);
  app.get('/healthz', (context) => context.json({ status: 'ok' }));
  app.get('/readyz', (context) => {
    const { ready, reason } = status();
    return ready ? context.json({ status: 'ready' }) : context.json({ status: 'not ready', reason }, 503);
  });
  guardAccess(app, access, clock, signals);
  app.get('/metrics', async (context) =>
    context.body(await metrics.metrics(), 200, { 'content-type': metrics.contentType }),
  );
  return app.get('/api/status', async (context) => context.json(await withMeasures(status(), metrics)));
}

/** Adds what the metrics measure, so that both always agree. */
async function withMeasures(state: BridgeState | WorkerState, metrics: Registry): Promise<Status> {
  const samples = async (name: string) => (await metrics.getSingleMetric(name)?.get())?.values ?? [];
  const byConnector = async (name: string) =>
    new Map((await samples(name)).map(({ labels, value }) => [labels.connector, value]));
  const delivered = await byConnector('bridge_delivered_total');
  const lagSeconds = await byConnector('bridge_delivery_lag_seconds');
  const measured = <Connector extends { name: string }>(connectors: readonly Connector[]) =>
    connectors.map((connector) => ({
      ...connector,
      delivered: delivered.get(connector.name) ?? 0,
      lagSeconds: lagSeconds.get(connector.name) ?? 0,
    }));
  if ('source' in state) return { ...state, connectors: measured(state.connectors) };
  const answered = await samples('bridge_callbacks_total');
  const callbacks = answered.reduce((sum, { value }) => sum + value, 0);
  return { ...state, callbacks, connectors: measured(state.connectors) };
}

function answerError(thrown: Error, context: Context): Response {
  if (thrown instanceof BridgeError) {
    const { fault } = thrown;
    // A configuration that is refused comes with its problems, one by one.
    const problems = 'problems' in thrown ? { problems: thrown.problems } : {};
    return context.json({ fault, ...problems }, adminStatus(fault.code));
  }
  if (thrown instanceof z.ZodError) return refuse(context, 400, { code: 'usage', message: z.prettifyError(thrown) });
  if (thrown instanceof SyntaxError) return refuse(context, 400, { code: 'usage', message: thrown.message });
  return refuse(context, 500, { code: 'internal', message: messageOf(thrown) });
}

export function refuse(context: Context, status: 400 | 401 | 403 | 404 | 415 | 429 | 500, fault: Fault) {
  return context.json({ fault }, status);
}

/** Returns the body that answers what is no HTTP request, as all other refusals of an admin server. */
export function malformedBody(why: string): string {
  const fault: Fault = { code: 'usage', message: why };
  return JSON.stringify({ fault });
}
