import { setTimeout as delay } from 'node:timers/promises';
import { BridgeError, describeFault } from '../model/fault.ts';
import { type AdminClient, adminClient } from './admin.ts';
import type { OperateOptions } from './operate.ts';
import { type Reading, ratesBetween, readStatus, statusLine, statusLines } from './status.ts';
import { paint, print } from './terminal.ts';

const EVERY_MS = 1_000;

/** What a running bridge is doing: once, or with `watch` until Ctrl-C. */
export async function showStatus(options: OperateOptions & { watch?: boolean }): Promise<void> {
  const client = adminClient(options);
  const first = await readStatus(client);
  if (!options.watch) {
    if (options.json) print(toJson(first));
    else for (const line of statusLines(first)) print(line);
    return;
  }
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
  if (process.stdout.isTTY && !options.json) await redraw(client, first, stop.signal);
  else await printChanges(client, first, options.json === true, stop.signal);
}

/** As the API says it, with what stands in the metrics. */
function toJson({ body, status, callbacks, delivered, lagSeconds }: Reading): string {
  const given = (body as { connectors: object[] }).connectors;
  const connectors = status.connectors.map(({ name }, index) => ({
    ...given[index],
    delivered: delivered.get(name) ?? 0,
    lagSeconds: lagSeconds.get(name) ?? 0,
  }));
  return JSON.stringify({ ...body, callbacks, connectors });
}

/** One reading a second until the signal aborts; undefined with the reason while the bridge does not answer. */
async function* readings(
  client: AdminClient,
  first: Reading,
  signal: AbortSignal,
): AsyncGenerator<{ reading: Reading } | { trouble: string }> {
  yield { reading: first };
  for (;;) {
    await delay(EVERY_MS, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    try {
      yield { reading: await readStatus(client) };
    } catch (thrown) {
      // A bridge that is restarted meanwhile, or that is busy, is waited for.
      if (!(thrown instanceof BridgeError) || thrown.fault.code.startsWith('token-')) throw thrown;
      yield { trouble: describeFault(thrown.fault) };
    }
    if (signal.aborted) return;
  }
}

const SCREEN = { enter: '\x1b[?1049h\x1b[?25l\x1b[?7l', leave: '\x1b[?7h\x1b[?25h\x1b[?1049l', home: '\x1b[H' };
const CLEAR = { line: '\x1b[K', below: '\x1b[J' };

/** On the terminal's other screen, so that what stood there comes back. Lines that are too long are cut. */
async function redraw(client: AdminClient, first: Reading, signal: AbortSignal): Promise<void> {
  const { stdout } = process;
  const draw = (lines: readonly string[]): void => {
    // 0 rows are those of a terminal that does not know its size.
    const shown = stdout.rows > 1 ? lines.slice(0, stdout.rows - 1) : lines;
    stdout.write(`${SCREEN.home}${shown.map((line) => `${line}${CLEAR.line}\n`).join('')}${CLEAR.below}`);
  };
  stdout.write(SCREEN.enter);
  try {
    let before: Reading | undefined;
    for await (const next of readings(client, first, signal)) {
      const head = paint('dim', `${client.url}  ${new Date().toLocaleTimeString()}  Ctrl-C ends`);
      if ('trouble' in next) {
        draw(
          [head, '', paint('red', next.trouble), ...(before === undefined ? [] : ['', 'before that:', ''])].concat(
            before === undefined ? [] : statusLines(before),
          ),
        );
        continue;
      }
      draw([head, '', ...statusLines(next.reading, ratesBetween(before, next.reading))]);
      before = next.reading;
    }
  } finally {
    stdout.write(SCREEN.leave);
  }
}

/** Elsewhere a line a change, with its time: a log, or with `json` what a program reads line by line. */
async function printChanges(client: AdminClient, first: Reading, json: boolean, signal: AbortSignal): Promise<void> {
  let before: Reading | undefined;
  let said = '';
  for await (const next of readings(client, first, signal)) {
    const line = lineOf(next, before, json);
    if ('reading' in next) before = next.reading;
    if (line.key === said) continue;
    said = line.key;
    print(line.text);
  }
}

/** `key` is what makes it a change: not the rates alone, and not how long something has lasted. */
function lineOf(
  next: { reading: Reading } | { trouble: string },
  before: Reading | undefined,
  json: boolean,
): { key: string; text: string } {
  const at = new Date().toISOString();
  if ('trouble' in next) {
    const text = json ? JSON.stringify({ at, unreachable: next.trouble }) : `${at} ${next.trouble}`;
    return { key: next.trouble, text };
  }
  const { reading } = next;
  const { ready, reason, connectors } = reading.status;
  const lanes = connectors.map(({ name, state, lag, deadLetters }) => [name, state.kind, lag, deadLetters]);
  const key = JSON.stringify([ready, reason, reading.callbacks, lanes]);
  return { key, text: json ? toJson(reading) : `${at} ${statusLine(reading, ratesBetween(before, reading))}` };
}
