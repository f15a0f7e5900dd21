import { z } from 'zod';
import { size, span } from '../model/text.ts';
import type { AdminClient } from './admin.ts';
import { paint, tableLines, visible } from './terminal.ts';

export const fault = z.object({ code: z.string(), message: z.string(), suggestion: z.string().optional() });
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
  /** Of a worker: those it has just now. */
  partitions: z.array(z.number()).optional(),
  restore: z.object({ done: z.number(), total: z.number(), failed: z.number(), ended: z.boolean() }).optional(),
});
export type ConnectorReading = z.output<typeof connectorStatus>;
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
export const status = z.object({
  ready: z.boolean(),
  reason: z.string().optional(),
  receiver: z.string().optional(),
  journal: z.object({ file: z.string(), head: z.number(), bytes: z.number(), quarantined: z.number() }).optional(),
  /** Of a worker, instead of the two. */
  source: z.object({ topic: z.string(), groupId: z.string(), deadLetters: z.string() }).optional(),
  connectors: z.array(connectorStatus),
  reconcile: reconcileStatus.optional(),
});

/** What a running bridge says of itself at one moment. */
export interface Reading {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly status: z.output<typeof status>;
  /** The answer as it came. */
  readonly body: object;
  /** Callbacks answered since the bridge started. */
  readonly callbacks: number;
  /** Events delivered or superseded since then, by connector. */
  readonly delivered: ReadonlyMap<string, number>;
  /** For how long each connector has not been in step, in seconds; 0 when it is. */
  readonly lagSeconds: ReadonlyMap<string, number>;
}

export async function readStatus(client: AdminClient): Promise<Reading> {
  const [body, metrics] = await Promise.all([client.get('/api/status'), client.text('/metrics')]);
  const byConnector = (name: string) =>
    new Map(samples(metrics, name).map(({ labels, value }) => [labels.connector ?? '', value]));
  return {
    at: Date.now(),
    status: status.parse(body),
    body: z.looseObject({}).parse(body),
    callbacks: samples(metrics, 'bridge_callbacks_total').reduce((sum, { value }) => sum + value, 0),
    delivered: byConnector('bridge_delivered_total'),
    lagSeconds: byConnector('bridge_delivery_lag_seconds'),
  };
}

/** The samples of one metric of ours, whose labels hold no quotes. */
function samples(metrics: string, name: string): { labels: Record<string, string>; value: number }[] {
  const lines = metrics.matchAll(new RegExp(`^${name}(?:\\{([^}]*)\\})? (\\S+)$`, 'gm'));
  return [...lines].map(([, labels = '', value]) => ({
    labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', text = '']) => [key, text])),
    value: Number(value),
  }));
}

/** Per second, between two readings. Undefined without an earlier one, or when the bridge was started anew in between. */
export interface Rates {
  readonly callbacks: number | undefined;
  delivered(connector: string): number | undefined;
}

export function ratesBetween(before: Reading | undefined, now: Reading): Rates {
  const seconds = before === undefined ? 0 : (now.at - before.at) / 1_000;
  const rate = (from: number | undefined, to: number | undefined): number | undefined =>
    from === undefined || to === undefined || to < from || seconds <= 0 ? undefined : (to - from) / seconds;
  return {
    callbacks: rate(before?.callbacks, now.callbacks),
    delivered: (connector) => rate(before?.delivered.get(connector), now.delivered.get(connector)),
  };
}

/** For people, a line each; with `rates` also what happens per second. */
export function statusLines(reading: Reading, rates?: Rates): string[] {
  const { ready, reason, connectors, source } = reading.status;
  const lines = [
    `${ready ? paint('green', 'ready') : paint('red', 'not ready')}${reason === undefined ? '' : `: ${reason}`}`,
    ...takenFrom(reading.status, rates),
  ];
  const heads = ['connector', 'kind', 'state', 'lag', 'behind for', 'dead letters'];
  if (source !== undefined) heads.push('partitions');
  const row = (one: ConnectorReading): string[] => [
    one.name,
    one.kind,
    one.state.kind,
    String(one.lag),
    behindFor(reading, one),
    String(one.deadLetters),
    ...(source === undefined ? [] : [one.partitions?.join(', ') || 'none']),
  ];
  const styleOf = ({ state, deadLetters }: ConnectorReading) =>
    state.kind === 'waiting' || state.kind === 'paused' ? 'yellow' : deadLetters > 0 ? 'red' : undefined;
  lines.push(
    '',
    ...tableLines(
      rates === undefined ? heads : [...heads, 'delivered'],
      connectors.map((one) => (rates === undefined ? row(one) : [...row(one), shownRate(rates.delivered(one.name))])),
      (index) => connectors[index] && styleOf(connectors[index]),
    ),
  );
  for (const { name, state } of connectors) {
    if (state.fault === undefined || state.since === undefined) continue;
    const next = state.retryAt === undefined ? '' : `, next try ${untilText(state.retryAt - reading.at)}`;
    lines.push(
      '',
      paint(
        'yellow',
        `${name} waits since ${span((reading.at - state.since) / 1_000)}${next}: ${visible(state.fault.message)}`,
      ),
    );
    if (state.fault.suggestion !== undefined) lines.push(`  ${visible(state.fault.suggestion)}`);
  }
  return lines;
}

/** Where the events come from: the receiver and journal of a bridge, the topic of a worker. */
function takenFrom({ receiver, journal, source, reconcile }: Reading['status'], rates: Rates | undefined): string[] {
  const lines: string[] = [];
  if (source !== undefined) {
    lines.push(`source    ${source.topic}, as a member of ${source.groupId}`, `dead      ${source.deadLetters}`);
  }
  if (receiver !== undefined) {
    const receiving = receiver === '' ? 'callbacks are not received' : `callbacks at ${receiver}`;
    lines.push(rates === undefined ? receiving : `${receiving}, ${shownRate(rates.callbacks)}`);
  }
  if (journal !== undefined) {
    lines.push(`journal   ${journal.file}: ${journal.head} events, ${size(journal.bytes)}`);
    if (journal.quarantined > 0)
      lines.push(paint('red', `quarantine ${journal.quarantined} callbacks that could not be mapped`));
  }
  if (reconcile !== undefined) lines.push(`reconcile ${reconcileLine(reconcile)}`);
  return lines;
}

/** In one line: what a log of changes holds. */
export function statusLine({ status: { ready, reason, connectors } }: Reading, rates: Rates): string {
  const lanes = connectors.map(
    ({ name, state, lag, deadLetters }) =>
      `${name} ${state.kind}, lag ${lag}, dead letters ${deadLetters}, ${shownRate(rates.delivered(name))}`,
  );
  const head = ready ? 'ready' : `not ready${reason === undefined ? '' : ` (${reason})`}`;
  return [`${head}, callbacks ${shownRate(rates.callbacks)}`, ...lanes].join(' | ');
}

function behindFor({ lagSeconds }: Reading, { name, lag }: ConnectorReading): string {
  const seconds = lagSeconds.get(name) ?? 0;
  return lag > 0 && seconds > 0 ? span(seconds) : '';
}

function shownRate(rate: number | undefined): string {
  return rate === undefined ? '…/s' : `${rate < 10 ? rate.toFixed(1) : Math.round(rate)}/s`;
}

function untilText(ms: number): string {
  return ms <= 0 ? 'now' : `in ${span(Math.ceil(ms / 1_000))}`;
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
