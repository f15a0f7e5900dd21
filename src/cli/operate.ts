import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { BridgeError } from '../model/fault.ts';
import { nearest } from '../model/text.ts';
import { type AdminClient, adminClient } from './admin.ts';
import { type ConnectorReading, fault, status } from './status.ts';
import { paint, print, progress, table, visible } from './terminal.ts';

/** What every command that speaks to a running bridge takes. */
export interface OperateOptions {
  readonly config?: string;
  readonly admin?: URL;
  readonly json?: boolean;
}

const deadLetter = z.object({
  seq: z.number(),
  attempts: z.number(),
  deadAt: z.number(),
  fault,
  event: z.looseObject({ id: z.string(), subject: z.string() }),
});
type DeadLetter = z.output<typeof deadLetter>;

const lane = (name: string, rest: string): string => `/api/connectors/${encodeURIComponent(name)}/${rest}`;

export async function pause(name: string, options: OperateOptions): Promise<void> {
  await adminClient(options).post(lane(name, 'pause'), {});
  if (options.json) return print(JSON.stringify({ connector: name, paused: true }));
  print(`${name} is paused, also over restarts, until it is resumed; callbacks go on being recorded`);
}

export async function resume(name: string, options: OperateOptions): Promise<void> {
  await adminClient(options).post(lane(name, 'resume'), {});
  if (options.json) return print(JSON.stringify({ connector: name, paused: false }));
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
  if (options.from === 'groups') return restore(name, client, options);
  const answer = z.object({ from: z.number(), events: z.number() });
  const { from, events } = answer.parse(await client.post(lane(name, 'replay'), { from: options.from }));
  const say = (text: string, done: boolean): void =>
    print(options.json ? JSON.stringify({ connector: name, from, events, done }) : text);
  if (events === 0) return say('nothing to replay: the journal holds no event from there on', true);
  const some = counted(events, 'event');
  if (!options.wait) return say(`${name} delivers ${some} again, from seq ${from}`, false);
  const bar = progress(`replaying to ${name}`, events);
  for (;;) {
    const one = await connectorOf(client, name);
    const done = one.cursor >= from + events - 1;
    bar.set(Math.min(events, Math.max(0, one.cursor - from + 1)));
    if (done) break;
    if (one.state.kind !== 'running' && one.state.kind !== 'connecting') {
      bar.end();
      return say(`${whyStuck(one)}; the replay goes on by itself when it can`, false);
    }
    await delay(200);
  }
  bar.end();
  say(`${name} delivered ${some} again, from seq ${from}`, true);
}

async function restore(
  name: string,
  client: AdminClient,
  { json, wait }: { json?: boolean; wait: boolean },
): Promise<void> {
  const { groups } = z
    .object({ groups: z.number() })
    .parse(await client.post(lane(name, 'replay'), { from: 'groups' }));
  const say = (text: string, delivered: number, failed: number, done: boolean): void =>
    print(json ? JSON.stringify({ connector: name, groups, delivered, failed, done }) : text);
  if (!wait) return say(`${name} is brought ${counted(groups, 'group')}`, 0, 0, false);
  const bar = progress(`bringing groups to ${name}`, groups);
  for (;;) {
    const one = await connectorOf(client, name);
    const { done = 0, failed = 0, ended = false } = one.restore ?? {};
    bar.set(done);
    const stuck = one.state.kind !== 'running' && one.state.kind !== 'connecting';
    if (!ended && !stuck) {
      await delay(200);
      continue;
    }
    bar.end();
    const brought = done - failed;
    if (!ended) return say(`${whyStuck(one)}; the rest comes when it can`, brought, failed, false);
    say(`${name} was brought ${counted(brought, 'group')}`, brought, failed, true);
    if (failed > 0) {
      throw new BridgeError({
        code: 'command-failed',
        message: `${counted(failed, 'group')} not taken: the bridge’s log says why`,
      });
    }
    return;
  }
}

function whyStuck({ name, state }: ConnectorReading): string {
  return `${name} is ${state.kind}${state.fault === undefined ? '' : `: ${visible(state.fault.message)}`}`;
}

function counted(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

async function connectorOf(client: AdminClient, name: string): Promise<ConnectorReading> {
  const { connectors } = status.parse(await client.get('/api/status'));
  const found = connectors.find((one) => one.name === name);
  if (found !== undefined) return found;
  const names = connectors.map((one) => one.name);
  const near = nearest(name, names);
  throw new BridgeError({
    code: 'connector-unknown',
    message: `no connector called ${name} runs there`,
    suggestion: `${near === undefined ? '' : `did you mean ${near}? `}these do: ${names.join(', ')}`,
  });
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
  print(`reason     ${visible(letter.fault.message)}`);
  if (letter.fault.suggestion !== undefined) print(`what to do ${visible(letter.fault.suggestion)}`);
  print(`event      ${visible(JSON.stringify(letter.event, null, 2))}`);
}

/** All dead letters unless some are named; in portions, since the bridge holds those that it tries in memory. */
export async function retryDeadLetters(name: string, seqs: readonly number[], options: OperateOptions): Promise<void> {
  const client = adminClient(options);
  const answer = z.object({ taken: z.number(), left: z.number() });
  const before = (await connectorOf(client, name)).deadLetters;
  const total = seqs.length > 0 ? seqs.length : before;
  if (total === 0) return print(options.json ? JSON.stringify({ taken: 0, left: 0 }) : `${name} has no dead letters`);
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
  print(`${name} tries ${counted(taken, 'dead letter')} again; \`status\` shows what is refused once more`);
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
  print(`discarded ${counted(discarded, 'dead letter')} of ${name}`);
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
  print(`discarded ${counted(discarded, 'callback')} of the quarantine`);
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
