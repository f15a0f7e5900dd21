import { isUtf8 } from 'node:buffer';
import { type Env, Hono, type MiddlewareHandler } from 'hono';
import type { z } from 'zod';
import { findEvent, readEvents } from '../journal/history.ts';
import type { QuarantinedCallback } from '../model/callback.ts';
import { BridgeError, type Fault } from '../model/fault.ts';
import type { Reconciler } from '../reconcile/schedule.ts';
import * as contract from './contract.ts';
import type { BridgePorts } from './ports.ts';
import { refuse } from './refusal.ts';
import { type AdminPorts, createAdminServer } from './server.ts';

interface ApiPorts extends AdminPorts, BridgePorts {
  status(): contract.BridgeState;
  readonly console: Hono;
}

export type AdminApi = ReturnType<typeof createApi>;

/** Returns the admin server of a bridge: the routes of every process, the API, and the console. */
export function createApi(ports: ApiPorts) {
  return createAdminServer(ports)
    .post('/api/reload', async (context) => context.json(await ports.reload()))
    .route('/api/connectors', connectorRoutes(ports))
    .route('/api/connectors', deadLetterRoutes(ports))
    .route('/api/reconcile', reconcileRoutes(ports))
    .route('/api', historyRoutes(ports))
    .route('/api/groups', forgetRoutes(ports))
    .route('/api/quarantine', quarantineRoutes(ports))
    .route('/', ports.console);
}

type Answer<S extends z.ZodType> = z.output<S>;

/** A middleware that validates a part of the request, typed for its handler and for clients. */
type Checks<Part extends 'json' | 'query', In, Out> = MiddlewareHandler<
  Env,
  string,
  { in: Record<Part, In>; out: Record<Part, Out> }
>;

function body<S extends z.ZodType<object>>(schema: S): Checks<'json', z.input<S>, z.output<S>> {
  return async ({ req }, next) => {
    req.addValidatedData('json', schema.parse(await req.json()));
    await next();
  };
}

function query<S extends z.ZodType<object>>(
  schema: S,
): Checks<'query', { [Key in keyof z.input<S>]: string | Extract<z.input<S>[Key], undefined> }, z.output<S>> {
  return async ({ req }, next) => {
    req.addValidatedData('query', schema.parse(req.query()));
    await next();
  };
}

/** Returns where a list continues, if `from` finds something after its last item. */
const next = (last: number | undefined, from: (last: number) => readonly unknown[]): { next?: number } =>
  last !== undefined && from(last).length > 0 ? { next: last } : {};

function connectorRoutes({ delivery: { operations } }: ApiPorts) {
  return new Hono()
    .post('/:name/pause', async (context) => {
      await operations.pause(context.req.param('name'));
      return context.json({});
    })
    .post('/:name/resume', async (context) => {
      await operations.resume(context.req.param('name'));
      return context.json({});
    })
    .post('/:name/replay', body(contract.replayRequest), (context) => {
      const { from } = context.req.valid('json');
      const name = context.req.param('name');
      return context.json(from === 'groups' ? { groups: operations.resync(name) } : operations.replay(name, from));
    })
    .post('/:name/compare', body(contract.groupSelection), (context) => {
      const { groupIds, dryRun } = context.req.valid('json');
      const how = dryRun === true ? 'compare' : 'repair';
      const groups = operations.resync(context.req.param('name'), how, groupIds);
      return context.json<Answer<typeof contract.groupCount>>({ groups });
    });
}

function deadLetterRoutes({ delivery: { operations } }: ApiPorts) {
  return new Hono()
    .get('/:name/dead-letters', query(contract.deadLettersQuery), (context) => {
      const { after, limit, ...filter } = context.req.valid('query');
      const deadLetters = operations.deadLetters(context.req.param('name'), after, limit, filter);
      return context.json<Answer<typeof contract.deadLettersAnswer>>({
        deadLetters,
        ...next(deadLetters.at(-1)?.seq, (seq) => operations.deadLetters(context.req.param('name'), seq, 1, filter)),
      });
    })
    .get('/:name/dead-letters/causes', (context) =>
      context.json<Answer<typeof contract.deadLetterCausesAnswer>>({
        causes: operations.deadLetterCauses(context.req.param('name')),
      }),
    )
    .get('/:name/dead-letters/:seq{\\d+}', (context) => {
      const found = operations.deadLetter(context.req.param('name'), Number(context.req.param('seq')));
      return found === undefined
        ? refuse(context, { code: 'usage', message: 'no such dead letter' }, 404)
        : context.json<Answer<typeof contract.deadLetter>>(found);
    })
    .post('/:name/dead-letters/retry', body(contract.deadLetterSelection), async (context) => {
      const taken = await operations.retry(context.req.param('name'), context.req.valid('json'));
      return context.json<Answer<typeof contract.retryAnswer>>({ taken });
    })
    .post('/:name/dead-letters/discard', body(contract.deadLetterSelection), async (context) => {
      const discarded = await operations.discard(context.req.param('name'), context.req.valid('json'));
      return context.json<Answer<typeof contract.discardAnswer>>({ discarded });
    });
}

function reconcileRoutes({ reconcile }: ApiPorts) {
  const configured = (): Reconciler => {
    const reconciler = reconcile.reconciler();
    if (reconciler !== undefined) return reconciler;
    throw new BridgeError({
      code: 'reconcile-unconfigured',
      path: 'reconcile',
      message: 'reconcile is not configured',
      suggestion: 'set reconcile.api.secretKey, the app’s key in the vendor’s console',
    });
  };
  return new Hono()
    .get('/', (context) => context.json<Answer<typeof contract.reconcileStatus>>(configured().status()))
    .post('/', body(contract.reconcileRequest), (context) =>
      context.json<Answer<typeof contract.reconcileStatus>>(configured().start(context.req.valid('json'))),
    )
    .get('/findings', query(contract.pageQuery), async (context) => {
      const { after, limit } = context.req.valid('query');
      return context.json<Answer<typeof contract.findingsAnswer>>(await configured().findings(after, limit));
    })
    .post('/stop', async (context) => {
      const reconciler = configured();
      await reconciler.stop();
      return context.json<Answer<typeof contract.reconcileStatus>>(reconciler.status());
    });
}

function historyRoutes({ journal: { history, groups }, delivery: { operations } }: ApiPorts) {
  return new Hono()
    .get('/events', query(contract.eventsQuery), async (context) => {
      const { limit, before, ...filter } = context.req.valid('query');
      const found = await readEvents(history, filter, limit, context.req.raw.signal, before);
      const isAll = Object.values(filter).every((one) => one === undefined);
      const total = isAll ? history.count(MOST_COUNTED + 1) : undefined;
      const counted = total !== undefined && total <= MOST_COUNTED && { total };
      return context.json<Answer<typeof contract.eventsAnswer>>({ ...found, ...counted });
    })
    .get('/events/:id', async (context) => {
      const entry = await findEvent(history, context.req.param('id'), context.req.raw.signal);
      if (entry === undefined) return refuse(context, NO_EVENT, 404);
      const copies = operations.eventCopies(entry);
      return context.json<Answer<typeof contract.eventAnswer>>({ ...entry, copies });
    })
    .get('/groups', query(contract.groupsQuery), async (context) => {
      const { search, limit, after } = context.req.valid('query');
      const found = await history.search(search, limit, context.req.raw.signal, after);
      return context.json<Answer<typeof contract.groupsPage>>({ ...found, total: groups.count() });
    })
    .get('/group', query(contract.groupQuery), async (context) => {
      const { id, limit } = context.req.valid('query');
      const group = groups.get(id);
      if (group === undefined) {
        return refuse(context, { code: 'usage', message: 'no such group was ever recorded' }, 404);
      }
      const events = history.ofGroup(id, limit);
      const copies = await operations.copies(id, context.req.raw.signal);
      return context.json<Answer<typeof contract.groupAnswer>>({
        group,
        events,
        ...next(events.at(-1)?.seq, (seq) => history.ofGroup(id, 1, seq)),
        copies,
      });
    });
}

/** Counting more would delay callbacks. */
const MOST_COUNTED = 100_000;

const NO_EVENT: Fault = {
  code: 'usage',
  message: 'no event has this id, seq or RequestID: none was recorded, or it was pruned',
  suggestion: 'events --group lists those of a group',
};

/** A step ends after so many groups, or so long; the caller continues from there. */
const STEP_GROUPS = 1_000;
const STEP_MS = 1_000;

function forgetRoutes({ journal: { groups, journal }, clock }: ApiPorts) {
  type Kept = Answer<typeof contract.forgetAnswer>['kept'];
  const forget = async (groupId: string, kept: Kept): Promise<boolean> => {
    const fault = await journal.forget(groupId);
    if (fault !== undefined) kept.push({ groupId, fault });
    return fault === undefined;
  };
  return new Hono()
    .post('/forget', body(contract.forgetRequest), async (context) => {
      const kept: Kept = [];
      let forgotten = 0;
      for (const groupId of context.req.valid('json').groupIds) if (await forget(groupId, kept)) forgotten++;
      return context.json<Answer<typeof contract.forgetAnswer>>({ forgotten, kept });
    })
    .post('/prune', body(contract.pruneRequest), async (context) => {
      const { olderMs, after, dryRun } = context.req.valid('json');
      const total = groups.count();
      const kept: Kept = [];
      const groupIds: string[] = [];
      let looked = 0;
      const end = clock.elapsed() + STEP_MS;
      let last: string | undefined = after;
      do {
        const page = journal.destroyed(last, olderMs);
        for (const groupId of page.groupIds) if (dryRun || (await forget(groupId, kept))) groupIds.push(groupId);
        looked += page.looked;
        last = page.last;
        // Callbacks come first.
        await clock.sleep(0);
      } while (last !== undefined && groupIds.length + kept.length < STEP_GROUPS && clock.elapsed() <= end);
      const following = last !== undefined && { next: last };
      return context.json<Answer<typeof contract.pruneAnswer>>({ groupIds, kept, looked, total, ...following });
    });
}

function quarantineRoutes({ journal: { reader }, receiver: { quarantine } }: ApiPorts) {
  return new Hono()
    .get('/', query(contract.pageQuery), (context) => {
      const { after, limit } = context.req.valid('query');
      const found = reader.quarantined(after, limit);
      return context.json<Answer<typeof contract.quarantineAnswer>>({
        quarantined: found.map(shown),
        ...next(found.at(-1)?.id, (id) => reader.quarantined(id, 1)),
        total: reader.countQuarantined(),
      });
    })
    .post('/retry', async (context) => context.json<Answer<typeof contract.remapAnswer>>(await quarantine.remap()))
    .post('/discard', body(contract.quarantineSelection), async (context) => {
      const { ids } = context.req.valid('json');
      return context.json<Answer<typeof contract.discardAnswer>>({ discarded: await quarantine.discard(ids) });
    });
}

function shown({ body: bytes, ...callback }: QuarantinedCallback): Answer<typeof contract.quarantined> {
  const body = Buffer.from(bytes);
  return { ...callback, body: body.toString(), ...(!isUtf8(bytes) && { bodyBase64: body.toString('base64') }) };
}
