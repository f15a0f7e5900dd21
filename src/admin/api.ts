import type { Context, Hono } from 'hono';
import { z } from 'zod';
import { ConfigRefused, type ReloadResult } from '../config/reload.ts';
import type { LaneHealth } from '../delivery/health.ts';
import type { Operations } from '../delivery/operations.ts';
import type { GroupReader } from '../journal/groups.ts';
import type { HistoryReader } from '../journal/history.ts';
import { MAX_GROUP_ID_BYTES } from '../model/event.ts';
import { BridgeError, type Fault, type FaultCode, messageOf } from '../model/fault.ts';
import type { QuarantinedCallback } from '../model/quarantine.ts';
import type { LaneState } from '../model/signal.ts';
import type { Reconciler, ReconcileStatus } from '../reconcile/reconciler.ts';
import { type AdminPorts, createAdmin } from './base.ts';

export interface ConnectorStatus {
  readonly name: string;
  readonly kind: string;
  readonly state: LaneState;
  /** Everything up to this seq is settled. */
  readonly cursor: number;
  /** Events recorded and not delivered yet, those that wait for a retry included. */
  readonly lag: number;
  readonly deadLetters: number;
  /** Of the latest `replay --from groups` since the bridge started. */
  readonly restore?: NonNullable<LaneHealth['restore']>;
}

export interface BridgeStatus {
  readonly ready: boolean;
  /** Why it is not ready. */
  readonly reason?: string;
  readonly receiver: string;
  readonly journal: {
    readonly file: string;
    readonly head: number;
    readonly bytes: number;
    readonly quarantined: number;
  };
  readonly connectors: readonly ConnectorStatus[];
  /** Where it is configured. */
  readonly reconcile?: ReconcileStatus;
}

export interface ApiPorts extends AdminPorts {
  readonly operations: Operations;
  readonly groups: Pick<GroupReader, 'get'>;
  readonly history: Pick<HistoryReader, 'recent' | 'ofGroup' | 'search'>;
  status(): BridgeStatus;
  quarantined(after: number, limit: number): QuarantinedCallback[];
  /** Maps what was kept once more; how many became events and how many are left. */
  remapQuarantine(): Promise<{ mapped: number; left: number }>;
  /** Gives up what was kept, all of it unless some are named by id; how many there were. */
  discardQuarantined(ids?: readonly number[]): Promise<number>;
  /** Undefined where it is not configured. */
  reconciler(): Reconciler | undefined;
  /** Throws ConfigRefused. */
  reload(): Promise<ReloadResult>;
  /** The pages for people. */
  readonly console: Hono;
}

/** What is not the bridge's own trouble. */
const STATUS: Partial<Record<FaultCode, 400 | 404 | 409>> = {
  usage: 400,
  'connector-unknown': 404,
  'reconcile-unconfigured': 409,
  'reconcile-running': 409,
};

const seqs = z.strictObject({ seqs: z.array(z.int().positive()).max(10_000).optional() });
const ids = z.strictObject({ ids: z.array(z.int().positive()).min(1).max(10_000).optional() });
const replay = z.strictObject({
  from: z.union([
    z.literal('beginning'),
    z.literal('groups'),
    z.strictObject({ seq: z.int().positive() }),
    z.strictObject({ time: z.int().nonnegative() }),
  ]),
});
const selection = z.strictObject({
  groupIds: z.array(z.string().min(1)).min(1).max(100_000).optional(),
  dryRun: z.boolean().optional(),
});
const page = z.object({
  after: z.coerce.number().int().nonnegative().default(0),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
});

const limit = z.coerce.number().int().min(1).max(1_000).default(100);
const groupId = z.string().min(1).max(MAX_GROUP_ID_BYTES);
const eventsPage = z.object({
  limit,
  before: z.coerce.number().int().positive().optional(),
  group: groupId.optional(),
});
const groupsSearch = z.object({ limit, search: z.string().max(MAX_GROUP_ID_BYTES).default('') });
const oneGroup = z.object({ limit, id: groupId });

/** The admin server: health, metrics, and what a person may ask for. */
export function createApi(ports: ApiPorts): Hono {
  const { operations, groups, history, quarantined, remapQuarantine, discardQuarantined, console } = ports;
  const configured = (): Reconciler => {
    const reconciler = ports.reconciler();
    if (reconciler !== undefined) return reconciler;
    throw new BridgeError({
      code: 'reconcile-unconfigured',
      path: 'reconcile',
      message: 'reconcile is not configured',
      suggestion: 'set reconcile.api.secretKey, the app’s key in the vendor’s console',
    });
  };
  const app = createAdmin(ports);

  app.post('/api/reload', async (context) => context.json(await ports.reload()));

  app.post('/api/connectors/:name/pause', async (context) => {
    await operations.pause(context.req.param('name'));
    return context.json({});
  });
  app.post('/api/connectors/:name/resume', async (context) => {
    await operations.resume(context.req.param('name'));
    return context.json({});
  });
  app.post('/api/connectors/:name/replay', async (context) => {
    const { from } = replay.parse(await context.req.json());
    const name = context.req.param('name');
    return context.json(from === 'groups' ? { groups: operations.restore(name) } : operations.replay(name, from));
  });

  app.post('/api/connectors/:name/compare', async (context) => {
    const { groupIds, dryRun } = selection.parse(await context.req.json());
    const how = dryRun === true ? 'compare' : 'mend';
    return context.json({ groups: operations.restore(context.req.param('name'), how, groupIds) });
  });

  app.get('/api/reconcile', (context) => context.json(configured().status()));
  app.post('/api/reconcile', async (context) =>
    context.json(configured().start(selection.parse(await context.req.json()))),
  );
  app.post('/api/reconcile/stop', async (context) => {
    await configured().stop();
    return context.json(configured().status());
  });

  app.get('/api/events', (context) => {
    const { limit, before, group } = eventsPage.parse(context.req.query());
    const events = group === undefined ? history.recent(limit, before) : history.ofGroup(group, limit, before);
    return context.json({ events });
  });
  app.get('/api/groups', async (context) => {
    const { search, limit } = groupsSearch.parse(context.req.query());
    return context.json(await history.search(search, limit, context.req.raw.signal));
  });
  app.get('/api/group', async (context) => {
    const { id, limit } = oneGroup.parse(context.req.query());
    const group = groups.get(id);
    if (group === undefined) return refuse(context, 404, { code: 'usage', message: 'no such group was ever recorded' });
    const events = history.ofGroup(id, limit);
    return context.json({ group, events, copies: await operations.copies(id, context.req.raw.signal) });
  });

  app.get('/api/connectors/:name/dead-letters', (context) => {
    const { after, limit } = page.parse(context.req.query());
    return context.json({ deadLetters: operations.deadLetters(context.req.param('name'), after, limit) });
  });
  app.get('/api/connectors/:name/dead-letters/:seq{\\d+}', (context) => {
    const found = operations.deadLetter(context.req.param('name'), Number(context.req.param('seq')));
    return found === undefined
      ? refuse(context, 404, { code: 'usage', message: 'no such dead letter' })
      : context.json(found);
  });
  app.post('/api/connectors/:name/dead-letters/retry', async (context) => {
    const { seqs: named } = seqs.parse(await context.req.json());
    return context.json(operations.retry(context.req.param('name'), named));
  });
  app.post('/api/connectors/:name/dead-letters/discard', async (context) => {
    const { seqs: named } = seqs.parse(await context.req.json());
    return context.json({ discarded: await operations.discard(context.req.param('name'), named) });
  });

  app.get('/api/quarantine', (context) => {
    const { after, limit } = page.parse(context.req.query());
    return context.json({ quarantined: quarantined(after, limit) });
  });
  app.post('/api/quarantine/retry', async (context) => context.json(await remapQuarantine()));
  app.post('/api/quarantine/discard', async (context) => {
    const { ids: named } = ids.parse(await context.req.json());
    return context.json({ discarded: await discardQuarantined(named) });
  });

  app.route('/', console);

  app.notFound((context) => refuse(context, 404, { code: 'usage', message: 'nothing is here' }));
  app.onError((thrown, context) => {
    if (thrown instanceof ConfigRefused) {
      return context.json({ fault: thrown.fault, problems: thrown.problems }, 422);
    }
    if (thrown instanceof BridgeError) return refuse(context, STATUS[thrown.fault.code] ?? 503, thrown.fault);
    if (thrown instanceof z.ZodError || thrown instanceof SyntaxError) {
      const message = thrown instanceof z.ZodError ? z.prettifyError(thrown) : messageOf(thrown);
      return refuse(context, 400, { code: 'usage', message });
    }
    return refuse(context, 500, { code: 'internal', message: messageOf(thrown) });
  });
  return app;
}

function refuse(context: Context, status: 400 | 404 | 409 | 500 | 503, fault: Fault): Response {
  return context.json({ fault }, status);
}
