/** The places of dead letters: a bridge's journal, or a worker's topic. */
import type { z } from 'zod';
import type { WorkerDeadLetter } from '../../connectors/contract.ts';
import { source as sourceKind } from '../../connectors/index.ts';
import {
  deadLetter,
  type deadLetterCause,
  deadLetterCausesAnswer,
  deadLettersAnswer,
  discardAnswer,
  retryAnswer,
} from '../admin/contract.ts';
import { textOf } from '../client/message.ts';
import type { Config, Source } from '../config/schema.ts';
import { causeOf } from '../model/cause.ts';
import type { Fault } from '../model/fault.ts';
import { adminClient, inPath } from './admin.ts';
import { type AdminOptions, clientConfig, connectorOf, misused, requireConfig } from './options.ts';
import { follow } from './terminal.ts';

/** The dead letters of one connector, wherever they are kept. */
export interface DeadLetters {
  readonly naming: 'seq' | 'letter';
  /** Yields those that match, reading `portion` at a time. */
  letters(filter: Filter, portion: number): AsyncIterable<DeadLetter>;
  /** Resolves with their causes, most frequent first, as --json prints them. */
  causes(): Promise<readonly Cause[]>;
  count(): Promise<number>;
  /** Throws a fault if there is none of this name. */
  show(name: string): Promise<DeadLetter>;
  /** Retries those that match, or only the named ones among them. The numbers are absent if they cannot be known. */
  retry(
    names: readonly string[],
    filter: Filter,
  ): Promise<{ readonly taken: number; readonly left: number; readonly delivered?: number; readonly refused?: number }>;
  discard(names: readonly string[], filter: Filter): Promise<{ readonly discarded: number }>;
  close(): Promise<void>;
}

export interface Filter {
  readonly cause?: string;
  readonly group?: string;
}

export type Cause = Omit<z.output<typeof deadLetterCause>, 'sample'> & { readonly sample: unknown };

export interface DeadLetter {
  /** The seq in a bridge's journal; in a worker's topic, the partition and offset, such as `3@1042`. */
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly deadAt: number;
  readonly attempts: number;
  readonly groupId: string;
  readonly fault: Fault;
  /** Where the record came from, if the name does not say so. */
  readonly origin?: string;
  /** The refused event or record, by label. */
  readonly content: readonly (readonly [label: string, text: string])[];
  readonly json: unknown;
}

/** Uses the running bridge or, if the configuration is a worker's, its topic, for which no worker needs to run. */
export async function withDeadLetters(
  connector: string,
  options: AdminOptions,
  work: (deadLetters: DeadLetters) => Promise<void>,
): Promise<void> {
  const isWorker = clientConfig(options)?.source !== undefined;
  const { source, connectors = {} } = isWorker ? (await requireConfig(options.config)).config : {};
  const deadLetters =
    source === undefined
      ? deadLettersOfBridge(connector, options)
      : await deadLettersOfWorker(connector, source, connectors);
  try {
    await work(deadLetters);
  } finally {
    await deadLetters.close();
  }
}

/** How long to wait for a retry that makes no progress, since its destination may be down. */
const PATIENCE_MS = 10_000;
const NONE = { delivered: 0, refused: 0 };

function deadLettersOfBridge(connector: string, options: AdminOptions): DeadLetters {
  const client = adminClient(options);
  const param = inPath('name', connector);
  /** Without `seqs`, the API takes all that match. */
  const selection = (names: readonly string[], { cause, group: groupId }: Filter) => ({
    seqs: names.length > 0 ? names.map(seqOf) : undefined,
    cause,
    groupId,
  });
  const causes = async () => {
    const answer = await client.ask(deadLetterCausesAnswer, (api) =>
      api.connectors[':name']['dead-letters'].causes.$get({ param }),
    );
    return answer.causes;
  };
  const settled = async (meant: number) => {
    let [seen, at] = [-1, Date.now()];
    const read = async () => (await client.connector(connector)).retried ?? { ...NONE, taken: meant };
    return follow(`retrying for ${connector}`, read, ({ delivered, refused, taken }) => {
      const done = delivered + refused;
      if (done !== seen) [seen, at] = [done, Date.now()];
      // The bridge holds a limited number in memory, and takes more as these are settled.
      return { done, total: Math.max(taken, meant), over: done >= taken || Date.now() - at > PATIENCE_MS };
    });
  };
  return {
    naming: 'seq',
    async *letters({ cause, group: groupId }, portion) {
      const limit = String(Math.min(portion, 1_000));
      for (let after: number | undefined = 0; after !== undefined; ) {
        const query = { limit, after: String(after), cause, groupId };
        const page: z.output<typeof deadLettersAnswer> = await client.ask(deadLettersAnswer, (api) =>
          api.connectors[':name']['dead-letters'].$get({ param, query }),
        );
        yield* page.deadLetters.map(fromBridge);
        after = page.next;
      }
    },
    causes,
    async count() {
      const running = (await client.status()).connectors.find(({ name }) => name === connector);
      return running?.deadLetters ?? (await causes()).reduce((sum, { count }) => sum + count, 0);
    },
    async show(name) {
      const seq = String(seqOf(name));
      const found = await client.ask(deadLetter, (api) =>
        api.connectors[':name']['dead-letters'][':seq{\\d+}'].$get({ param: { ...param, seq } }),
      );
      return fromBridge(found);
    },
    async retry(names, filter) {
      const json = selection(names, filter);
      const { taken } = await client.ask(retryAnswer, (api) =>
        api.connectors[':name']['dead-letters'].retry.$post({ param, json }),
      );
      const { delivered, refused } = taken === 0 ? NONE : await settled(taken);
      return { taken, left: 0, delivered, refused };
    },
    discard: (names, filter) =>
      client.ask(discardAnswer, (api) =>
        api.connectors[':name']['dead-letters'].discard.$post({ param, json: selection(names, filter) }),
      ),
    async close() {},
  };
}

function seqOf(name: string): number {
  if (!name.includes('@')) return Number(name);
  throw misused(`${name} names a dead letter of a worker, but this is a bridge`);
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
  connectorOf(connectors, name);
  const found = await (await sourceKind.load()).deadLetters(source, name, new AbortController().signal);
  const letterOf = (named: string): WorkerDeadLetter => {
    const letter = found.all.find((one) => one.name === named);
    if (letter !== undefined) return letter;
    const suggestion = '`dead-letters list` shows them, by partition and offset such as 3@1042';
    throw misused(`there is no dead letter ${named}`, suggestion);
  };
  const meant = ({ cause, group }: Filter): WorkerDeadLetter[] =>
    found.all.filter(
      ({ fault, key }) =>
        (cause === undefined || causeOf(fault).id === cause) &&
        (group === undefined || (key !== null && Buffer.from(key).toString() === group)),
    );
  const chosen = (names: readonly string[], filter: Filter): string[] => {
    const named = new Set(names.map(letterOf));
    return meant(filter).flatMap((letter) => (names.length === 0 || named.has(letter) ? [letter.name] : []));
  };
  return {
    naming: 'letter',
    async *letters(filter) {
      yield* meant(filter).map(fromWorker);
    },
    causes: async () => causesOf(found.all),
    count: async () => found.all.length,
    show: async (named) => fromWorker(letterOf(named)),
    /** Sends them through the topic again, to whichever worker has the partition. */
    async retry(names, filter) {
      const tried = chosen(names, filter);
      if (tried.length > 0) await found.retry(tried);
      return { taken: tried.length, left: found.all.length - tried.length };
    },
    async discard(names, filter) {
      const gone = chosen(names, filter);
      await found.discard(gone);
      return { discarded: gone.length };
    },
    close: () => found.close(),
  };
}

/** Groups the dead letters of a worker by cause, most frequent first. */
export function causesOf(letters: readonly WorkerDeadLetter[]): Cause[] {
  const groups = Map.groupBy(letters, ({ fault }) => causeOf(fault).id);
  const causes = Array.from(groups, ([cause, those]): Cause => {
    const sample = those.at(-1) as WorkerDeadLetter;
    const { code, reason } = causeOf(sample.fault);
    const times = those.map(({ deadAt }) => deadAt).sort((one, other) => one - other);
    const [firstAt = 0, lastAt = firstAt] = [times[0], times.at(-1)];
    return { cause, code, reason, count: those.length, firstAt, lastAt, sample: fromWorker(sample).json };
  });
  return causes.sort((one, other) => other.count - one.count);
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
