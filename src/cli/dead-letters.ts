/** `dead-letters`: one way to see and settle them, whether a bridge's journal or a worker's topic keeps them. */
import type { Command } from 'commander';
import { BridgeError, type Fault } from '../model/fault.ts';
import { plural } from '../model/text.ts';
import type { AdminOptions } from './admin.ts';
import { deadLettersOfBridge } from './dead-letters-bridge.ts';
import { deadLettersOfWorker } from './dead-letters-worker.ts';
import { examples, listOf, onRunningBridge, wholeNumber } from './options.ts';
import { print, table, visible } from './terminal.ts';

/** The dead letters of one connector, wherever they are kept. */
export interface DeadLetters {
  /** The head of the column with the names. */
  readonly naming: 'seq' | 'letter';
  /** Resolves with the first ones. */
  list(limit: number): Promise<readonly DeadLetter[]>;
  /** Throws a fault where there is none of this name. */
  show(name: string): Promise<DeadLetter>;
  /** Takes all unless some are named. */
  retry(names: readonly string[]): Promise<{ readonly taken: number; readonly left: number }>;
  /** Takes all unless some are named; resolves with their number. */
  discard(names: readonly string[]): Promise<number>;
  close(): Promise<void>;
}

export interface DeadLetter {
  /** The seq in a bridge's journal; in a worker's topic partition and offset, such as `3@1042`. */
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly deadAt: number;
  readonly attempts: number;
  readonly groupId: string;
  readonly fault: Fault;
  /** The place it comes from, where the name does not say it. */
  readonly origin?: string;
  /** The refused event or record, by label. */
  readonly content: readonly (readonly [label: string, text: string])[];
  /** The dead letter as --json prints it. */
  readonly json: unknown;
}

export function addDeadLetters(program: Command): void {
  const deadLetters = program.command('dead-letters').description('events that a destination refused for good');
  const command = (name: string, description: string, ...calls: string[]): Command =>
    onRunningBridge(
      deadLetters
        .command(name)
        .description(description)
        .argument('<name>')
        .addHelpText('after', examples(...calls.map((call) => `dead-letters ${name} ${call}`))),
    );
  const named = 'by seq; of a worker by partition and offset';
  command('list', 'list them', 'group-index --limit 20')
    .option('--limit <n>', 'at most so many', wholeNumber(1), 100)
    .action(list);
  command('show', 'show one whole', 'group-index 1042')
    .argument('<seq>', 'its seq; of a worker its partition and offset, such as 3@1042', parseName)
    .action(show);
  command('retry', 'try them again, all unless some are named', 'group-index', 'group-index 1042 1043')
    .argument('[seqs...]', named, listOf(parseName))
    .action(retry);
  command('discard', 'give them up for good', 'group-index 1042', 'group-index --all')
    .argument('[seqs...]', named, listOf(parseName))
    .option('--all', 'all of them', false)
    .action(discard);
}

function parseName(text: string): string {
  return /^\d+@\d+$/.test(text) ? text : String(wholeNumber(1)(text));
}

async function withDeadLetters(
  connector: string,
  options: AdminOptions,
  work: (deadLetters: DeadLetters) => Promise<void>,
): Promise<void> {
  const deadLetters = (await deadLettersOfWorker(connector, options)) ?? deadLettersOfBridge(connector, options);
  try {
    await work(deadLetters);
  } finally {
    await deadLetters.close();
  }
}

function list(connector: string, options: AdminOptions & { readonly limit: number }): Promise<void> {
  return withDeadLetters(connector, options, async (deadLetters) => {
    const found = await deadLetters.list(options.limit);
    if (options.json) return print(JSON.stringify({ deadLetters: found.map(({ json }) => json) }));
    if (found.length === 0) return print(`${connector} has no dead letters`);
    const row = ({ name, deadAt, groupId, attempts, fault }: DeadLetter): string[] => [
      name,
      new Date(deadAt).toISOString(),
      groupId,
      String(attempts),
      fault.message,
    ];
    table([deadLetters.naming, 'given up at', 'group', 'attempts', 'reason'], found.map(row));
  });
}

function show(connector: string, which: string, options: AdminOptions): Promise<void> {
  return withDeadLetters(connector, options, async (deadLetters) => {
    const { name, origin, deadAt, attempts, fault, content, json } = await deadLetters.show(which);
    if (options.json) return print(JSON.stringify(json));
    const lines: (readonly [label: string, text: string])[] = [
      [deadLetters.naming, origin === undefined ? name : `${name}, ${origin}`],
      ['given up', `${new Date(deadAt).toISOString()}, after ${plural(attempts, 'attempt')}`],
      ['reason', fault.message],
      ...(fault.suggestion === undefined ? [] : [['what to do', fault.suggestion] as const]),
      ...content,
    ];
    for (const [label, text] of lines) print(`${label.padEnd(10)} ${visible(text)}`);
  });
}

function retry(connector: string, names: readonly string[] = [], options: AdminOptions): Promise<void> {
  return withDeadLetters(connector, options, async (deadLetters) => {
    const { taken, left } = await deadLetters.retry(names);
    if (options.json) return print(JSON.stringify({ taken, left }));
    if (taken === 0) return print(`${connector} has no dead letters`);
    print(`${connector} tries ${plural(taken, 'dead letter')} again; what is refused once more is listed again`);
  });
}

function discard(
  connector: string,
  names: readonly string[] = [],
  options: AdminOptions & { readonly all: boolean },
): Promise<void> {
  if (names.length === 0 && !options.all) {
    const message = 'name the dead letters, or say --all: what is discarded never reaches this destination';
    throw new BridgeError({ code: 'usage', message });
  }
  return withDeadLetters(connector, options, async (deadLetters) => {
    const discarded = await deadLetters.discard(names);
    if (options.json) return print(JSON.stringify({ discarded }));
    print(`discarded ${plural(discarded, 'dead letter')} of ${connector}`);
  });
}
