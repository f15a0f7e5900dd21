import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { BridgeError } from '../canon/fault.ts';
import { type AdminClient, adminClient } from './admin.ts';
import { paint, print, progress, table } from './terminal.ts';

/** What every command that speaks to a running bridge takes. */
export interface OperateOptions {
  readonly config?: string;
  readonly admin?: URL;
  readonly json?: boolean;
}

const fault = z.object({ code: z.string(), message: z.string(), suggestion: z.string().optional() });
const state = z.object({
  kind: z.string(),
  fault: fault.optional(),
  since: z.number().optional(),
  retryAt: z.number().optional(),
});
const connectorStatus = z.object({
  name: z.string(),
  kind: z.string(),
  state,
  cursor: z.number(),
  lag: z.number(),
  deadLetters: z.number(),
  partitions: z.array(z.number()).optional(),
  restore: z.object({ done: z.number(), total: z.number(), failed: z.number(), ended: z.boolean() }).optional(),
});
const reconcileRun = z.object({
  startedAt: z.number(),
  endedAt: z.number().optional(),
  total: z.number(),
  counts: z.object({ read: z.number(), mended: z.number(), gone: z.number(), failed: z.number() }),
  stopped: z.string().optional(),
});
const reconcileStatus = z.object({
  running: z.boolean(),
  run: reconcileRun.optional(),
  nextAt: z.number().optional(),
});
const status = z.object({
  ready: z.boolean(),
  reason: z.string().optional(),
  receiver: z.string().optional(),
  journal: z.object({ file: z.string(), head: z.number(), bytes: z.number(), quarantined: z.number() }).optional(),
  /** Of a worker, instead of the two. */
  source: z.object({ topic: z.string(), groupId: z.string(), deadLetters: z.string() }).optional(),
  connectors: z.array(connectorStatus),
  reconcile: reconcileStatus.optional(),
});
const deadLetter = z.object({
  seq: z.number(),
  attempts: z.number(),
  deadAt: z.number(),
  fault,
  event: z.looseObject({ id: z.string(), subject: z.string() }),
});
type DeadLetter = z.output<typeof deadLetter>;

const lane = (name: string, rest: string): string => `/api/connectors/${encodeURIComponent(name)}/${rest}`;

export async function showStatus(options: OperateOptions): Promise<void> {
  const client = adminClient(options);
  const body = await client.get('/api/status');
  if (options.json) return print(JSON.stringify(body));
  const { ready, reason, receiver, journal, source, connectors, reconcile } = status.parse(body);
  print(`${ready ? paint('green', 'ready') : paint('red', 'not ready')}${reason === undefined ? '' : `: ${reason}`}`);
  if (source !== undefined) {
    print(`source    ${source.topic}, as a member of ${source.groupId}`);
    print(`dead      ${source.deadLetters}`);
  }
  if (receiver !== undefined) print(`callbacks at ${receiver}`);
  if (journal !== undefined)
    print(`journal   ${journal.file}: ${journal.head} events, ${(journal.bytes / 1_048_576).toFixed(1)} MiB`);
  if (journal !== undefined && journal.quarantined > 0)
    print(paint('red', `quarantine ${journal.quarantined} callbacks that could not be mapped`));
  if (reconcile !== undefined) print(`reconcile ${reconcileLine(reconcile)}`);
  print();
  const row = ({
    name,
    kind,
    state,
    lag,
    deadLetters,
    partitions = [],
  }: z.output<typeof connectorStatus>): string[] => [
    ...[name, kind, state.kind, String(lag), String(deadLetters)],
    ...(source === undefined ? [] : [partitions.join(', ') || 'none']),
  ];
  table(
    ['connector', 'kind', 'state', 'lag', 'dead letters', ...(source === undefined ? [] : ['partitions'])],
    connectors.map(row),
  );
  for (const { name, state } of connectors) {
    if (state.fault === undefined || state.since === undefined) continue;
    const seconds = Math.round((Date.now() - state.since) / 1000);
    print(paint('yellow', `\n${name} waits since ${seconds} s: ${state.fault.message}`));
    if (state.fault.suggestion !== undefined) print(`  ${state.fault.suggestion}`);
  }
}

function reconcileLine({ running, run, nextAt }: z.output<typeof reconcileStatus>): string {
  const at = (ms: number): string => new Date(ms).toISOString();
  const next = nextAt === undefined ? '' : `; next ${at(nextAt)}`;
  if (run === undefined) return `not yet${next}`;
  const { read, mended, gone, failed } = run.counts;
  const found = `${read} read, ${mended} mended, ${gone} gone, ${failed} failed`;
  if (running) return `runs since ${at(run.startedAt)}: ${read} of ${run.total} groups read, ${mended} mended`;
  if (run.stopped !== undefined) return `${paint('yellow', `stopped: ${run.stopped}`)} (${found})${next}`;
  return `ended ${at(run.endedAt ?? run.startedAt)}: ${found}${next}`;
}

export async function pause(name: string, options: OperateOptions): Promise<void> {
  await adminClient(options).post(lane(name, 'pause'), {});
  print(`${name} is paused, also over restarts, until it is resumed; callbacks go on being recorded`);
}

export async function resume(name: string, options: OperateOptions): Promise<void> {
  await adminClient(options).post(lane(name, 'resume'), {});
  print(`${name} goes on`);
}

/** Has the bridge read its file again. A file with problems: exit 2, and nothing changed. */
export async function reload(options: OperateOptions): Promise<void> {
  const body = await adminClient(options).post('/api/reload', {});
  if (options.json) return print(JSON.stringify(body));
  const names = z.array(z.string());
  const { added, changed, removed, applied, needsRestart } = z
    .object({ added: names, changed: names, removed: names, applied: names, needsRestart: names })
    .parse(body);
  const lines: [string, string[]][] = [
    ['added', added],
    ['changed', changed],
    ['removed', removed],
    ['now in effect', applied],
    [paint('yellow', 'takes effect at the next start'), needsRestart],
  ];
  const said = lines.filter(([, some]) => some.length > 0);
  for (const [what, some] of said) print(`${what}: ${some.join(', ')}`);
  if (said.length === 0) print('nothing has changed');
}

/** `beginning`, `groups`, a seq, or a time as an ISO date; in the form the API takes. */
export function parseFrom(text: string): 'beginning' | 'groups' | { seq: number } | { time: number } | undefined {
  if (text === 'beginning' || text === 'groups') return text;
  if (/^[1-9]\d*$/.test(text)) return { seq: Number(text) };
  const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? undefined : { time };
}

export async function replay(
  name: string,
  options: OperateOptions & { from: NonNullable<ReturnType<typeof parseFrom>>; wait: boolean },
): Promise<void> {
  const client = adminClient(options);
  if (options.from === 'groups') return restore(name, client, options.wait);
  const answer = z.object({ from: z.number(), events: z.number() });
  const { from, events } = answer.parse(await client.post(lane(name, 'replay'), { from: options.from }));
  if (events === 0) return print(`nothing to replay: the journal holds no event from there on`);
  if (!options.wait) return print(`${name} delivers ${events} events again, from seq ${from}`);
  const bar = progress(`replaying to ${name}`, events);
  for (;;) {
    const one = await connectorOf(client, name);
    const done = one.cursor >= from + events - 1;
    bar.set(Math.min(events, Math.max(0, one.cursor - from + 1)));
    if (done) break;
    if (one.state.kind !== 'running' && one.state.kind !== 'connecting') {
      bar.end();
      print(
        `${name} is ${one.state.kind}${one.state.fault ? `: ${one.state.fault.message}` : ''}; the replay goes on by itself when it can`,
      );
      return;
    }
    await delay(200);
  }
  bar.end();
  print(`${name} delivered ${events} events again, from seq ${from}`);
}

async function restore(name: string, client: AdminClient, wait: boolean): Promise<void> {
  const { groups } = z
    .object({ groups: z.number() })
    .parse(await client.post(lane(name, 'replay'), { from: 'groups' }));
  if (!wait) return print(`${name} is brought all ${groups} groups`);
  const bar = progress(`bringing groups to ${name}`, groups);
  for (;;) {
    const { restore: at, state } = await connectorOf(client, name);
    bar.set(at?.done ?? 0);
    const stuck = state.kind !== 'running' && state.kind !== 'connecting';
    if (at?.ended || stuck) {
      bar.end();
      if (stuck)
        return print(
          `${name} is ${state.kind}${state.fault ? `: ${state.fault.message}` : ''}; the rest comes when it can`,
        );
      print(`${name} was brought ${(at?.done ?? 0) - (at?.failed ?? 0)} groups`);
      if (at !== undefined && at.failed > 0) {
        throw new BridgeError({
          code: 'command-failed',
          message: `${at.failed} groups were not taken: the bridge’s log says why`,
        });
      }
      return;
    }
    await delay(200);
  }
}

async function connectorOf(client: AdminClient, name: string): Promise<z.output<typeof connectorStatus>> {
  const { connectors } = status.parse(await client.get('/api/status'));
  const found = connectors.find((one) => one.name === name);
  if (found === undefined)
    throw new BridgeError({ code: 'connector-unknown', message: `no connector called ${name} runs there` });
  return found;
}

export async function listDeadLetters(name: string, options: OperateOptions & { limit: number }): Promise<void> {
  const body = await adminClient(options).get(lane(name, `dead-letters?limit=${options.limit}`));
  if (options.json) return print(JSON.stringify(body));
  const { deadLetters } = z.object({ deadLetters: z.array(deadLetter) }).parse(body);
  if (deadLetters.length === 0) return print(`${name} has no dead letters`);
  const row = ({ seq, deadAt, event, attempts, fault }: DeadLetter): string[] => [
    String(seq),
    new Date(deadAt).toISOString(),
    event.subject,
    String(attempts),
    fault.message,
  ];
  table(['seq', 'given up at', 'group', 'attempts', 'reason'], deadLetters.map(row));
}

export async function showDeadLetter(name: string, seq: number, options: OperateOptions): Promise<void> {
  const body = await adminClient(options).get(lane(name, `dead-letters/${seq}`));
  if (options.json) return print(JSON.stringify(body));
  const letter = deadLetter.parse(body);
  print(`seq        ${letter.seq}`);
  print(
    `given up   ${new Date(letter.deadAt).toISOString()}, after ${letter.attempts} ${letter.attempts === 1 ? 'attempt' : 'attempts'}`,
  );
  print(`reason     ${letter.fault.message}`);
  if (letter.fault.suggestion !== undefined) print(`what to do ${letter.fault.suggestion}`);
  print(`event      ${JSON.stringify(letter.event, null, 2)}`);
}

/** All dead letters unless some are named; in portions, since the bridge holds those that it tries in memory. */
export async function retryDeadLetters(name: string, seqs: readonly number[], options: OperateOptions): Promise<void> {
  const client = adminClient(options);
  const answer = z.object({ taken: z.number(), left: z.number() });
  const before = (await connectorOf(client, name)).deadLetters;
  const total = seqs.length > 0 ? seqs.length : before;
  if (total === 0) return print(`${name} has no dead letters`);
  const bar = progress(`retrying for ${name}`, total);
  let taken = 0;
  let left = before;
  do {
    const got = answer.parse(await client.post(lane(name, 'dead-letters/retry'), seqs.length > 0 ? { seqs } : {}));
    if (got.taken === 0) break;
    taken += got.taken;
    left = got.left;
    bar.set(Math.min(taken, total));
    // The next portion is asked for once this one is out of the dead letters, or back in them.
    if (seqs.length === 0 && left > 0) await delay(500);
  } while (seqs.length === 0 && taken < total);
  bar.end();
  if (options.json) return print(JSON.stringify({ taken, left }));
  print(
    `${name} tries ${taken} dead ${taken === 1 ? 'letter' : 'letters'} again; \`status\` shows what is refused once more`,
  );
}

export async function discardDeadLetters(
  name: string,
  seqs: readonly number[],
  options: OperateOptions & { all: boolean },
): Promise<void> {
  if (seqs.length === 0 && !options.all) {
    throw new BridgeError({
      code: 'usage',
      message: 'name the dead letters by seq, or say --all: what is discarded never reaches this destination',
    });
  }
  const body = await adminClient(options).post(lane(name, 'dead-letters/discard'), seqs.length > 0 ? { seqs } : {});
  const { discarded } = z.object({ discarded: z.number() }).parse(body);
  if (options.json) return print(JSON.stringify({ discarded }));
  print(`discarded ${discarded} dead ${discarded === 1 ? 'letter' : 'letters'} of ${name}`);
}

export async function discardQuarantine(
  ids: readonly number[],
  options: OperateOptions & { all: boolean },
): Promise<void> {
  if (ids.length === 0 && !options.all) {
    throw new BridgeError({
      code: 'usage',
      message: 'name the callbacks by id, or say --all: what is discarded never becomes an event',
    });
  }
  const body = await adminClient(options).post('/api/quarantine/discard', ids.length > 0 ? { ids } : {});
  const { discarded } = z.object({ discarded: z.number() }).parse(body);
  if (options.json) return print(JSON.stringify({ discarded }));
  print(`discarded ${discarded} ${discarded === 1 ? 'callback' : 'callbacks'} of the quarantine`);
}

export async function listQuarantine(options: OperateOptions): Promise<void> {
  const body = await adminClient(options).get('/api/quarantine');
  if (options.json) return print(JSON.stringify(body));
  const kept = z.object({ id: z.number(), receivedAt: z.number(), fault, body: z.string() });
  const { quarantined } = z.object({ quarantined: z.array(kept) }).parse(body);
  if (quarantined.length === 0) return print('the quarantine is empty');
  table(
    ['id', 'received', 'why', 'body'],
    quarantined.map((one) => [
      String(one.id),
      new Date(one.receivedAt).toISOString(),
      one.fault.message,
      one.body.replaceAll(/\s+/g, ' ').slice(0, 80),
    ]),
  );
}

export async function retryQuarantine(options: OperateOptions): Promise<void> {
  const body = await adminClient(options).post('/api/quarantine/retry', {});
  if (options.json) return print(JSON.stringify(body));
  const { mapped, left } = z.object({ mapped: z.number(), left: z.number() }).parse(body);
  print(`${mapped} mapped, ${left} left`);
}
