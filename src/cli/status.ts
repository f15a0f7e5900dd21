import { setTimeout as delay } from 'node:timers/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { z } from 'zod';
import type { ConnectorStatus, reconcileStatus, Status } from '../admin/contract.ts';
import { BridgeError, describeFault, type Fault } from '../model/fault.ts';
import { rate as perSecond, plural, size, span } from '../model/text.ts';
import { TROUBLES } from '../model/verdict.ts';
import { type AdminClient, adminClient } from './admin.ts';
import { type AdminOptions, addCommand, lengthOfTime, misused, onRunningBridge } from './options.ts';
import { answer, interruption, type Lines, linesOf, paint, sequence, tableLines, write } from './terminal.ts';

const EVERY_MS = 1_000;

export function addStatus(program: Command): void {
  const description = 'show a running bridge: its journal and how far each connector is';
  const calls = [
    'status',
    'status --watch',
    'status --check --allow paused,unverified',
    'status --wait in-step --timeout 60s',
    'status --json --admin http://10.0.0.5:8081',
  ];
  onRunningBridge(
    addCommand(program, 'status', description, ...calls)
      .option('--watch', 'refresh every second, with rates, until Ctrl-C')
      .addOption(
        new Option(
          '--check',
          'exit with 1 unless callbacks are recorded and every copy is in step, verified and complete',
        ).conflicts(['watch', 'wait']),
      )
      .option('--allow <troubles>', `with --check, troubles to ignore: ${TROUBLES.join(', ')}`, troubleList)
      .addOption(
        new Option('--wait <state>', 'wait until every copy is in step and complete')
          .choices(['in-step'])
          .conflicts('watch'),
      )
      .option('--timeout <time>', 'with --wait, how long, such as 5m; then exit with 1 (default: 60s)', waitingTime),
  ).action(showStatus);
}

interface StatusOptions extends AdminOptions {
  readonly watch?: boolean;
  readonly check?: boolean;
  readonly allow?: readonly string[];
  readonly wait?: string;
  /** In ms. */
  readonly timeout?: number;
}

function troubleList(text: string): readonly string[] {
  const named = text.split(',').map((one) => one.trim());
  const unknown = named.find((one) => !TROUBLES.some((trouble) => trouble === one));
  if (unknown === undefined) return named;
  throw new InvalidArgumentError(`unknown ${unknown}, one of ${TROUBLES.join(', ')} is expected`);
}

/** Accepts digits alone as milliseconds, as a configuration does. */
const waitingTime = (text: string): number => lengthOfTime(/^\d+$/.test(text) ? `${text}ms` : text);

/** Troubles that --wait ignores. */
const NOT_WAITED_FOR = ['unverified', 'dead-letters'];

async function showStatus(options: StatusOptions): Promise<void> {
  if (options.allow && !options.check) throw needing('allow', 'check');
  if (options.timeout !== undefined && options.wait === undefined) throw needing('timeout', 'wait');
  const client = adminClient(options);
  if (options.wait !== undefined) return waitInStep(client, options);
  const first = await read(client);
  if (options.watch) return watch(client, first, options.json === true);
  answer(options, first.status, statusLines(first));
  if (options.check && !isWell(first.status, options.allow)) process.exitCode = 1;
}

/** Refuses an option without its other one: silently ignored, it would seem to have worked. */
const needing = (option: string, other: string): BridgeError => misused(`--${option} needs --${other}`);

function isWell({ verdict: { recording, copies } }: Status, allow: readonly string[] = []): boolean {
  const { tone, troubles } = copies;
  // Without troubles the copies are only in step if they are green: there may be none at all.
  const isInStep = tone === 'green' || (troubles.length > 0 && troubles.every(({ kind }) => allow.includes(kind)));
  return recording.tone === 'green' && isInStep;
}

const WAIT_STEP_MS = 200;

async function waitInStep(client: AdminClient, options: StatusOptions): Promise<void> {
  const end = Date.now() + (options.timeout ?? 60_000);
  for (;;) {
    // The last reading needs time, too.
    const reading = await readAgain(client, Math.max(WAIT_STEP_MS, end - Date.now()));
    const isThere =
      'status' in reading &&
      isWell(reading.status, NOT_WAITED_FOR) &&
      reading.status.connectors.every(({ lag }) => lag === 0);
    if (!isThere && Date.now() < end) {
      await delay(WAIT_STEP_MS);
      continue;
    }
    if (!('status' in reading)) throw new BridgeError(reading);
    answer(options, reading.status, statusLines(reading));
    if (!isThere) process.exitCode = 1;
    return;
  }
}

async function read(client: AdminClient, withinMs?: number): Promise<Reading> {
  return { at: Date.now(), status: await client.status(withinMs) };
}

/** Resolves with a fault if the bridge is busy or restarting, so that the caller can go on waiting. */
async function readAgain(client: AdminClient, withinMs?: number): Promise<Reading | Fault> {
  try {
    return await read(client, withinMs);
  } catch (thrown) {
    if (!(thrown instanceof BridgeError) || thrown.fault.code.startsWith('token-')) throw thrown;
    return thrown.fault;
  }
}

/** Switches to the terminal's alternate screen, which leaves the other one unchanged, and cuts long lines. */
const SCREEN = {
  enter: sequence('\x1b[?1049h\x1b[?25l\x1b[?7l'),
  leave: sequence('\x1b[?7h\x1b[?25h\x1b[?1049l'),
  home: sequence('\x1b[H'),
};
const CLEAR = { line: sequence('\x1b[K'), below: sequence('\x1b[J') };

/** Shows a reading each second until Ctrl-C: redrawn in place on a terminal, else a line for each change. */
async function watch(client: AdminClient, first: Reading, json: boolean): Promise<void> {
  const { stdout } = process;
  const signal = interruption();
  const onTerminal = stdout.isTTY && !json;
  let before: Reading | undefined;
  let last = '';
  if (onTerminal) write(stdout, SCREEN.enter);
  try {
    for (let now: Reading | Fault = first; !signal.aborted; now = await readAgain(client)) {
      if (onTerminal) redraw(client.url, now, before);
      else {
        const change = changeKey(now);
        if (change !== last) printChange(json, now, before);
        last = change;
      }
      if ('status' in now) before = now;
      await delay(EVERY_MS, undefined, { signal }).catch(() => {});
    }
  } finally {
    if (onTerminal) write(stdout, SCREEN.leave);
  }
}

function redraw(url: string, now: Reading | Fault, before: Reading | undefined): void {
  const { rows } = process.stdout;
  const found =
    'status' in now
      ? statusLines(now, ratesBetween(before, now))
      : [paint('red', describeFault(now)), before && ['', 'before that:', '', statusLines(before)]];
  const lines = linesOf([paint('dim', `${url}  ${new Date().toISOString()}  Ctrl-C ends`), '', found]);
  // A terminal of unknown size has 0 rows.
  const shown = rows > 1 ? lines.slice(0, rows - 1) : lines;
  write(process.stdout, `${SCREEN.home}${shown.map((line) => `${line}${CLEAR.line}\n`).join('')}${CLEAR.below}`);
}

function printChange(json: boolean, now: Reading | Fault, before: Reading | undefined): void {
  const at = new Date().toISOString();
  if ('status' in now) answer({ json }, now.status, `${at} ${statusLine(now, ratesBetween(before, now))}`);
  else answer({ json }, { at, unreachable: describeFault(now) }, `${at} ${describeFault(now)}`);
}

/** Identifies a reading without its rates and durations, whose changes are not worth a line. */
function changeKey(now: Reading | Fault): string {
  if (!('status' in now)) return describeFault(now);
  const callbacks = 'callbacks' in now.status ? now.status.callbacks : '';
  return `${callbacks} ${statusLine(now, ratesBetween(undefined, now))}`;
}

export interface Reading {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly status: Status;
}

type Rates = ReturnType<typeof ratesBetween>;

/** Returns rates per second; each is undefined without an earlier reading, or if the bridge was restarted since. */
export function ratesBetween(before: Reading | undefined, now: Reading) {
  const seconds = before === undefined ? 0 : (now.at - before.at) / 1_000;
  const rate = (count: (reading: Reading) => number | undefined): number | undefined => {
    const [from, to] = [before && count(before), count(now)];
    return from === undefined || to === undefined || to < from || seconds <= 0 ? undefined : (to - from) / seconds;
  };
  return {
    callbacks: rate(({ status }) => ('callbacks' in status ? status.callbacks : undefined)),
    delivered: (connector: string) =>
      rate(({ status }) => status.connectors.find(({ name }) => name === connector)?.delivered),
  };
}

const PAINTS = { green: 'green', amber: 'yellow', red: 'red' } as const;

/** Returns the lines for people, with `rates` if they are given. */
function statusLines({ at, status }: Reading, rates?: Rates): Lines {
  const { verdict, warnings = [] } = status;
  return [
    [verdict.recording, verdict.copies].map(({ tone, says }) => paint(PAINTS[tone], says)),
    warnings.map((warning) => `${paint('yellow', 'warning')}   ${warning}`),
    originLines(status, rates),
    '',
    connectorTable(status, rates),
    status.connectors.map((connector) => waitingLines(connector, at)),
  ];
}

/** Describes the origin of the events: the receiver and journal of a bridge, or the topic of a worker. */
function originLines(status: Status, rates: Rates | undefined): Lines {
  if ('source' in status) {
    const { topic, groupId, deadLetters } = status.source;
    return [`source    ${topic}, as a member of ${groupId}`, `dead      ${deadLetters}`];
  }
  const { receiver, journal, reconcile } = status;
  const receiving = receiver === '' ? 'callbacks are not received' : `callbacks at ${receiver}`;
  return [
    rates === undefined ? receiving : `${receiving}, ${rateText(rates.callbacks)}`,
    `journal   ${journal.file}: ${plural(journal.head, 'event')}, ${size(journal.bytes)}`,
    journal.quarantined > 0 &&
      paint('red', `quarantine ${plural(journal.quarantined, 'callback')} that could not be mapped`),
    reconcile && `reconcile ${reconcileText(reconcile)}`,
  ];
}

function connectorTable({ connectors }: Status, rates: Rates | undefined): string[] {
  const columns: [head: string, cell: (one: Status['connectors'][number]) => string][] = [
    ['connector', ({ name }) => name],
    ['kind', ({ kind }) => kind],
    ['state', ({ state }) => state.kind],
    ['lag', ({ lag }) => String(lag ?? 'unknown')],
    ['behind for', ({ lag, lagSeconds }) => (lag !== 0 && lagSeconds > 0 ? span(lagSeconds) : '')],
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

function waitingLines({ name, state }: ConnectorStatus, at: number): Lines {
  if (state.kind !== 'waiting') return undefined;
  const { since, retryAt, fault } = state;
  const next = retryAt <= at ? 'now' : `in ${span(Math.ceil((retryAt - at) / 1_000))}`;
  const waits = `${name} has waited for ${span((at - since) / 1_000)}, next try ${next}: ${fault.message}`;
  return ['', paint('yellow', waits), fault.suggestion && `  ${fault.suggestion}`];
}

function statusLine({ status: { ready, reason, connectors } }: Reading, rates: Rates): string {
  const lanes = connectors.map(
    ({ name, state, lag, deadLetters }) =>
      `${name} ${state.kind}, lag ${lag ?? 'unknown'}, dead letters ${deadLetters}, ${rateText(rates.delivered(name))}`,
  );
  const head = ready ? 'ready' : `not ready${reason === undefined ? '' : ` (${reason})`}`;
  return [`${head}, callbacks ${rateText(rates.callbacks)}`, ...lanes].join(' | ');
}

function rateText(rate: number | undefined): string {
  return `${rate === undefined ? '…' : perSecond(rate)}/s`;
}

function reconcileText({ running, run, nextAt }: z.output<typeof reconcileStatus>): string {
  const at = (ms: number): string => new Date(ms).toISOString();
  const next = nextAt === undefined ? '' : `; next ${at(nextAt)}`;
  if (run === undefined) return `not yet${next}`;
  const { read, mended, gone, failed } = run.counts;
  const found = `${read} read, ${mended} mended, ${gone} gone, ${failed} failed`;
  if (running) return `has run since ${at(run.startedAt)}: ${read} of ${run.total} groups read, ${mended} mended`;
  if (run.stopped !== undefined) return `${paint('yellow', `stopped: ${run.stopped}`)} (${found})${next}`;
  return `ended ${at(run.endedAt ?? run.startedAt)}: ${found}${next}`;
}
