/** `dead-letters`: one way to see and settle them, whether a bridge's journal or a worker's topic keeps them. */
import type { Command } from 'commander';
import type { z } from 'zod';
import type { WorkerDeadLetter } from '../../connectors/contract.ts';
import { source as sourceKind } from '../../connectors/index.ts';
import { deadLetter, deadLettersAnswer, discardAnswer, retryAnswer } from '../admin/contract.ts';
import { textOf } from '../client/message.ts';
import type { Config } from '../config/schema.ts';
import type { Source } from '../config/source.ts';
import { BridgeError, type Fault } from '../model/fault.ts';
import { plural } from '../model/text.ts';
import { adminClient, inPath } from './admin.ts';
import { type AdminOptions, addCommand, configUnlessAdmin, listOf, onRunningBridge, wholeNumber } from './options.ts';
import { answer, follow, tableLines } from './terminal.ts';

/** The dead letters of one connector, wherever they are kept. */
interface DeadLetters {
  /** The head of the column with the names. */
  readonly naming: 'seq' | 'letter';
  /** Resolves with the first ones. */
  list(limit: number): Promise<readonly DeadLetter[]>;
  /** Throws a fault where there is none of this name. */
  show(name: string): Promise<DeadLetter>;
  /** Takes all unless some are named. */
  retry(names: readonly string[]): Promise<{ readonly taken: number; readonly left: number }>;
  /** Takes all unless some are named. */
  discard(names: readonly string[]): Promise<{ readonly discarded: number }>;
  close(): Promise<void>;
}

interface DeadLetter {
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
  const parent = program.command('dead-letters').description('events that a destination refused for good');
  const command = (name: string, description: string, ...calls: string[]): Command => {
    const whole = calls.map((call) => `dead-letters ${name} ${call}`);
    return onRunningBridge(addCommand(parent, `${name} <name>`, description, ...whole));
  };
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

/** Asks the running bridge, unless the configuration is that of a worker, which need not run: its topic holds them. */
async function withDeadLetters(
  connector: string,
  options: AdminOptions,
  work: (deadLetters: DeadLetters) => Promise<void>,
): Promise<void> {
  const { source, connectors } = configUnlessAdmin(options) ?? {};
  const deadLetters =
    source === undefined || connectors === undefined
      ? deadLettersOfBridge(connector, options)
      : await deadLettersOfWorker(connector, source, connectors);
  try {
    await work(deadLetters);
  } finally {
    await deadLetters.close();
  }
}

function list(connector: string, options: AdminOptions & { readonly limit: number }): Promise<void> {
  return withDeadLetters(connector, options, async (deadLetters) => {
    const found = await deadLetters.list(options.limit);
    const rows = found.map(({ name, deadAt, groupId, attempts, fault }) => [
      name,
      new Date(deadAt).toISOString(),
      groupId,
      String(attempts),
      fault.message,
    ]);
    const heads = [deadLetters.naming, 'given up at', 'group', 'attempts', 'reason'];
    const lines = rows.length === 0 ? [`${connector} has no dead letters`] : tableLines(heads, rows);
    answer(options, { deadLetters: found.map(({ json }) => json) }, ...lines);
  });
}

function show(connector: string, which: string, options: AdminOptions): Promise<void> {
  return withDeadLetters(connector, options, async (deadLetters) => {
    const { name, origin, deadAt, attempts, fault, content, json } = await deadLetters.show(which);
    const lines: (readonly [label: string, text: string])[] = [
      [deadLetters.naming, origin === undefined ? name : `${name}, ${origin}`],
      ['given up', `${new Date(deadAt).toISOString()}, after ${plural(attempts, 'attempt')}`],
      ['reason', fault.message],
      ...(fault.suggestion === undefined ? [] : [['what to do', fault.suggestion] as const]),
      ...content,
    ];
    answer(options, json, ...lines.map(([label, text]) => `${label.padEnd(10)} ${text}`));
  });
}

function retry(connector: string, names: readonly string[] = [], options: AdminOptions): Promise<void> {
  return withDeadLetters(connector, options, async (deadLetters) => {
    const { taken, left } = await deadLetters.retry(names);
    const tried = `${connector} tries ${plural(taken, 'dead letter')} again; what is refused once more is listed again`;
    answer(options, { taken, left }, taken === 0 ? `${connector} has no dead letters` : tried);
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
    const { discarded } = await deadLetters.discard(names);
    answer(options, { discarded }, `discarded ${plural(discarded, 'dead letter')} of ${connector}`);
  });
}

/** The bridge tries a limited number at a time, held in memory: these get a while to be settled before the next. */
const SETTLE_MS = 500;

/** The dead letters in the journal of a running bridge, by its admin API. */
function deadLettersOfBridge(connector: string, options: AdminOptions): DeadLetters {
  const client = adminClient(options);
  const param = inPath(connector);
  /** The API takes all where no `seqs` are given. */
  const selection = (names: readonly string[]) => (names.length > 0 ? { seqs: names.map(seqOf) } : {});
  const retryOnce = (names: readonly string[]) =>
    client.ask(retryAnswer, (api) =>
      api.connectors[':name']['dead-letters'].retry.$post({ param, json: selection(names) }),
    );
  return {
    naming: 'seq',
    async list(limit) {
      const found = await client.ask(deadLettersAnswer, (api) =>
        api.connectors[':name']['dead-letters'].$get({ param, query: { limit: String(limit) } }),
      );
      return found.deadLetters.map(fromBridge);
    },
    async show(name) {
      const seq = String(seqOf(name));
      const found = await client.ask(deadLetter, (api) =>
        api.connectors[':name']['dead-letters'][':seq{\\d+}'].$get({ param: { ...param, seq } }),
      );
      return fromBridge(found);
    },
    async retry(names) {
      const { deadLetters: total } = await client.connector(connector);
      if (names.length > 0) return retryOnce(names);
      let done = 0;
      const { left } = await follow(
        `retrying for ${connector}`,
        async () => {
          const tried = await retryOnce([]);
          done += tried.taken;
          return tried;
        },
        ({ taken, left }) => ({ done, total, over: taken === 0 || left === 0 || done >= total }),
        { everyMs: SETTLE_MS },
      );
      return { taken: done, left };
    },
    discard: (names) =>
      client.ask(discardAnswer, (api) =>
        api.connectors[':name']['dead-letters'].discard.$post({ param, json: selection(names) }),
      ),
    async close() {},
  };
}

function seqOf(name: string): number {
  if (!name.includes('@')) return Number(name);
  const message = `${name} names a dead letter of a worker, and this is a bridge`;
  throw new BridgeError({ code: 'usage', message });
}

function fromBridge(json: z.output<typeof deadLetter>): DeadLetter {
  const { seq, deadAt, attempts, fault, event } = json;
  const content = [['event', JSON.stringify(event, null, 2)]] as const;
  return { name: String(seq), deadAt, attempts, groupId: event.subject, fault, content, json };
}

async function deadLettersOfWorker(
  name: string,
  source: Source,
  connectors: Config['connectors'],
): Promise<DeadLetters> {
  if (!Object.hasOwn(connectors, name)) {
    const suggestion = `known: ${Object.keys(connectors).join(', ')}`;
    throw new BridgeError({ code: 'connector-unknown', message: `no connector is called ${name}`, suggestion });
  }
  const found = await sourceKind.deadLetters(source, name, new AbortController().signal);
  const letterOf = (named: string): WorkerDeadLetter => {
    const letter = found.all.find((one) => one.name === named);
    if (letter !== undefined) return letter;
    const suggestion = '`dead-letters list` shows them, by partition and offset such as 3@1042';
    throw new BridgeError({ code: 'usage', message: `there is no dead letter ${named}`, suggestion });
  };
  const chosen = (names: readonly string[]): string[] =>
    (names.length === 0 ? found.all : names.map(letterOf)).map((letter) => letter.name);
  return {
    naming: 'letter',
    list: async (limit) => found.all.slice(0, limit).map(fromWorker),
    show: async (named) => fromWorker(letterOf(named)),
    /** They go the way of every event: through the topic, to whichever worker has the partition. */
    async retry(names) {
      const tried = chosen(names);
      if (tried.length > 0) await found.retry(tried);
      return { taken: tried.length, left: found.all.length - tried.length };
    },
    async discard(names) {
      const gone = chosen(names);
      await found.discard(gone);
      return { discarded: gone.length };
    },
    close: () => found.close(),
  };
}

function fromWorker({ headers, key, value, ...letter }: WorkerDeadLetter): DeadLetter {
  const { name, topic, partition, offset, fault, attempts, deadAt } = letter;
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
  const base64 = (bytes: Uint8Array | null): string | null => bytes && Buffer.from(bytes).toString('base64');
  const texts = Object.entries(headers).map(([header, values]) => [header, [values].flat().map(text)] as const);
  const { leftOut } = letter;
  const record =
    leftOut !== undefined
      ? `not kept: ${leftOut.size} bytes, SHA-256 ${leftOut.sha256}`
      : value === null
        ? 'no value'
        : (textOf(value) ?? `base64 ${base64(value)}`);
  return {
    name,
    deadAt,
    attempts,
    groupId: key === null ? '' : text(key),
    fault,
    origin: `from ${topic}, partition ${partition}, offset ${offset}`,
    content: [
      ...texts.map(([header, values]) => ['header', `${header}: ${values.join(', ')}`] as const),
      ['record', record],
    ],
    // Key and value may hold any bytes.
    json: { ...letter, key: base64(key), value: base64(value), headers: Object.fromEntries(texts) },
  };
}
