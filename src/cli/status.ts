import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { BridgeError, describeFault, type Fault } from '../model/fault.ts';
import { type AdminClient, type AdminOptions, adminClient } from './admin.ts';
import { examples, onRunningBridge } from './options.ts';
import { type Reading, ratesBetween, statusLine, statusLines } from './status-text.ts';
import { paint, print } from './terminal.ts';

const EVERY_MS = 1_000;

export function addStatus(program: Command): void {
  onRunningBridge(
    program
      .command('status')
      .description('show a running bridge: its journal and how far each connector is')
      .option('--watch', 'again each second, with what happens per second, until Ctrl-C')
      .addHelpText('after', examples('status', 'status --watch', 'status --json --admin http://10.0.0.5:8081')),
  ).action(showStatus);
}

async function showStatus(options: AdminOptions & { readonly watch?: boolean }): Promise<void> {
  const client = adminClient(options);
  const first = await read(client);
  if (options.watch) return watch(client, first, options.json === true);
  if (options.json) print(JSON.stringify(first.status));
  else for (const line of statusLines(first)) print(line);
}

async function read(client: AdminClient): Promise<Reading> {
  return { at: Date.now(), status: await client.status() };
}

/** Shows one reading a second until Ctrl-C: on a terminal in one place, elsewhere a line a change. */
async function watch(client: AdminClient, first: Reading, json: boolean): Promise<void> {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
  const onTerminal = process.stdout.isTTY && !json;
  const show = onTerminal ? redraw(client.url) : printChanges(json);
  if (onTerminal) process.stdout.write(SCREEN.enter);
  try {
    let before: Reading | undefined;
    for await (const next of readings(client, first, stop.signal)) {
      show(next, before);
      if (next.ok) before = next.reading;
    }
  } finally {
    if (onTerminal) process.stdout.write(SCREEN.leave);
  }
}

type Next = { readonly ok: true; readonly reading: Reading } | { readonly ok: false; readonly fault: Fault };
type Show = (next: Next, before: Reading | undefined) => void;

/** A bridge that is restarted meanwhile, or that is busy, is waited for. */
async function* readings(client: AdminClient, first: Reading, signal: AbortSignal): AsyncGenerator<Next> {
  yield { ok: true, reading: first };
  for (;;) {
    await delay(EVERY_MS, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    try {
      yield { ok: true, reading: await read(client) };
    } catch (thrown) {
      if (!(thrown instanceof BridgeError) || thrown.fault.code.startsWith('token-')) throw thrown;
      yield { ok: false, fault: thrown.fault };
    }
  }
}

/** The terminal's other screen, so that what stood on the first one comes back; lines that are too long are cut. */
const SCREEN = { enter: '\x1b[?1049h\x1b[?25l\x1b[?7l', leave: '\x1b[?7h\x1b[?25h\x1b[?1049l', home: '\x1b[H' };
const CLEAR = { line: '\x1b[K', below: '\x1b[J' };

function redraw(url: string): Show {
  const { stdout } = process;
  return (next, before) => {
    const lines = [paint('dim', `${url}  ${new Date().toLocaleTimeString()}  Ctrl-C ends`), ''];
    if (next.ok) lines.push(...statusLines(next.reading, ratesBetween(before, next.reading)));
    else lines.push(paint('red', describeFault(next.fault)));
    if (!next.ok && before !== undefined) lines.push('', 'before that:', '', ...statusLines(before));
    // A terminal that does not know its size says that it has 0 rows.
    const shown = stdout.rows > 1 ? lines.slice(0, stdout.rows - 1) : lines;
    stdout.write(`${SCREEN.home}${shown.map((line) => `${line}${CLEAR.line}\n`).join('')}${CLEAR.below}`);
  };
}

function printChanges(json: boolean): Show {
  let last = '';
  return (next, before) => {
    const key = changeKey(next);
    if (key === last) return;
    last = key;
    const at = new Date().toISOString();
    if (next.ok && json) print(JSON.stringify(next.reading.status));
    else if (next.ok) print(`${at} ${statusLine(next.reading, ratesBetween(before, next.reading))}`);
    else if (json) print(JSON.stringify({ at, unreachable: describeFault(next.fault) }));
    else print(`${at} ${describeFault(next.fault)}`);
  };
}

/** Rates alone are no change, nor is how long something has lasted. */
function changeKey(next: Next): string {
  if (!next.ok) return describeFault(next.fault);
  const { ready, reason, connectors, ...rest } = next.reading.status;
  const lanes = connectors.map(({ name, state, lag, deadLetters }) => [name, state.kind, lag, deadLetters]);
  return JSON.stringify([ready, reason, 'callbacks' in rest ? rest.callbacks : undefined, lanes]);
}
