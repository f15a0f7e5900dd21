/** The status of a running bridge or worker, in words. */
import type { z } from 'zod';
import type { ConnectorStatus, reconcileStatus, Status } from '../admin/contract.ts';
import { size, span } from '../model/text.ts';
import { paint, tableLines, visible } from './terminal.ts';

export interface Reading {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly status: Status;
}

/** Rates a second between two readings; undefined without an earlier one, or where the bridge was started anew in between. */
export interface Rates {
  readonly callbacks: number | undefined;
  delivered(connector: string): number | undefined;
}

export function ratesBetween(before: Reading | undefined, now: Reading): Rates {
  const seconds = before === undefined ? 0 : (now.at - before.at) / 1_000;
  const rate = (count: (reading: Reading) => number | undefined): number | undefined => {
    const [from, to] = [before && count(before), count(now)];
    return from === undefined || to === undefined || to < from || seconds <= 0 ? undefined : (to - from) / seconds;
  };
  return {
    callbacks: rate(({ status }) => ('callbacks' in status ? status.callbacks : undefined)),
    delivered: (connector) => rate(({ status }) => status.connectors.find(({ name }) => name === connector)?.delivered),
  };
}

/** Returns the lines for people; with `rates` they also say what happens per second. */
export function statusLines({ at, status }: Reading, rates?: Rates): string[] {
  const { ready, reason } = status;
  return [
    `${ready ? paint('green', 'ready') : paint('red', 'not ready')}${reason === undefined ? '' : `: ${reason}`}`,
    ...originLines(status, rates),
    '',
    ...connectorTable(status, rates),
    ...status.connectors.flatMap((connector) => waitingLines(connector, at)),
  ];
}

/** Says where the events come from: the receiver and journal of a bridge, the topic of a worker. */
function originLines(status: Status, rates: Rates | undefined): string[] {
  if ('source' in status) {
    const { topic, groupId, deadLetters } = status.source;
    return [`source    ${topic}, as a member of ${groupId}`, `dead      ${deadLetters}`];
  }
  const { receiver, journal, reconcile } = status;
  const receiving = receiver === '' ? 'callbacks are not received' : `callbacks at ${receiver}`;
  return [
    rates === undefined ? receiving : `${receiving}, ${rateText(rates.callbacks)}`,
    `journal   ${journal.file}: ${journal.head} events, ${size(journal.bytes)}`,
    ...(journal.quarantined > 0
      ? [paint('red', `quarantine ${journal.quarantined} callbacks that could not be mapped`)]
      : []),
    ...(reconcile === undefined ? [] : [`reconcile ${reconcileText(reconcile)}`]),
  ];
}

function connectorTable({ connectors }: Status, rates: Rates | undefined): string[] {
  const columns: [head: string, cell: (one: Status['connectors'][number]) => string][] = [
    ['connector', ({ name }) => name],
    ['kind', ({ kind }) => kind],
    ['state', ({ state }) => state.kind],
    ['lag', ({ lag }) => String(lag)],
    ['behind for', ({ lag, lagSeconds }) => (lag > 0 && lagSeconds > 0 ? span(lagSeconds) : '')],
    ['dead letters', ({ deadLetters }) => String(deadLetters)],
  ];
  if (connectors.some((one) => 'partitions' in one)) {
    columns.push(['partitions', (one) => ('partitions' in one && one.partitions.join(', ')) || 'none']);
  }
  if (rates !== undefined) columns.push(['delivered', ({ name }) => rateText(rates.delivered(name))]);
  return tableLines(
    columns.map(([head]) => head),
    connectors.map((one) => columns.map(([, cell]) => cell(one))),
    (index) => {
      const { state, deadLetters } = connectors[index] ?? {};
      if (state?.kind === 'waiting' || state?.kind === 'paused') return 'yellow';
      return deadLetters ? 'red' : undefined;
    },
  );
}

/** Says why the destination as a whole is waited for, and since when. */
function waitingLines({ name, state }: ConnectorStatus, at: number): string[] {
  if (state.kind !== 'waiting') return [];
  const { since, retryAt, fault } = state;
  const next = retryAt <= at ? 'now' : `in ${span(Math.ceil((retryAt - at) / 1_000))}`;
  const waits = `${name} waits since ${span((at - since) / 1_000)}, next try ${next}: ${visible(fault.message)}`;
  return ['', paint('yellow', waits), ...(fault.suggestion === undefined ? [] : [`  ${visible(fault.suggestion)}`])];
}

/** Returns the status in one line, for a log of changes. */
export function statusLine({ status: { ready, reason, connectors } }: Reading, rates: Rates): string {
  const lanes = connectors.map(
    ({ name, state, lag, deadLetters }) =>
      `${name} ${state.kind}, lag ${lag}, dead letters ${deadLetters}, ${rateText(rates.delivered(name))}`,
  );
  const head = ready ? 'ready' : `not ready${reason === undefined ? '' : ` (${reason})`}`;
  return [`${head}, callbacks ${rateText(rates.callbacks)}`, ...lanes].join(' | ');
}

function rateText(rate: number | undefined): string {
  return rate === undefined ? '…/s' : `${rate < 10 ? rate.toFixed(1) : Math.round(rate)}/s`;
}

function reconcileText({ running, run, nextAt }: z.output<typeof reconcileStatus>): string {
  const at = (ms: number): string => new Date(ms).toISOString();
  const next = nextAt === undefined ? '' : `; next ${at(nextAt)}`;
  if (run === undefined) return `not yet${next}`;
  const { read, mended, gone, failed } = run.counts;
  const found = `${read} read, ${mended} mended, ${gone} gone, ${failed} failed`;
  if (running) return `runs since ${at(run.startedAt)}: ${read} of ${run.total} groups read, ${mended} mended`;
  if (run.stopped !== undefined) return `${paint('yellow', `stopped: ${run.stopped}`)} (${found})${next}`;
  return `ended ${at(run.endedAt ?? run.startedAt)}: ${found}${next}`;
}
