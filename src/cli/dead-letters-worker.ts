import type { WorkerDeadLetter } from '../../connectors/contract.ts';
import { source as sourceKind } from '../../connectors/index.ts';
import { textOf } from '../client/message.ts';
import type { Config } from '../config/schema.ts';
import { BridgeError } from '../model/fault.ts';
import type { AdminOptions } from './admin.ts';
import { requireConfig } from './configuration.ts';
import type { DeadLetter, DeadLetters } from './dead-letters.ts';

/**
 * Reads the dead letters in the topic of a worker, which need not run. Resolves with undefined where the configuration is that
 * of a bridge, which has to be asked instead.
 */
export async function deadLettersOfWorker(name: string, options: AdminOptions): Promise<DeadLetters | undefined> {
  const config = configOf(options);
  if (config?.source === undefined) return undefined;
  const { source, connectors } = config;
  if (!Object.hasOwn(connectors, name)) {
    throw new BridgeError({
      code: 'connector-unknown',
      message: `no connector is called ${name}`,
      suggestion: `known: ${Object.keys(connectors).join(', ')}`,
    });
  }
  const found = await sourceKind.deadLetters(source, name, new AbortController().signal);
  const namesOf = (names: readonly string[]): readonly string[] =>
    (names.length === 0 ? found.all : names.map((one) => letterOf(found.all, one))).map((letter) => letter.name);
  return {
    naming: 'letter',
    list: async (limit) => found.all.slice(0, limit).map(toDeadLetter),
    show: async (one) => toDeadLetter(letterOf(found.all, one)),
    /** They go the way of every event: through the topic, to whichever worker has the partition. */
    async retry(names) {
      const chosen = namesOf(names);
      if (chosen.length > 0) await found.retry(chosen);
      return { taken: chosen.length, left: found.all.length - chosen.length };
    },
    async discard(names) {
      const chosen = namesOf(names);
      await found.discard(chosen);
      return chosen.length;
    },
    close: () => found.close(),
  };
}

/** With --admin no configuration is needed, unless it was named. */
function configOf({ config, admin }: AdminOptions): Config | undefined {
  try {
    return requireConfig(config).config;
  } catch (thrown) {
    if (config !== undefined || admin === undefined) throw thrown;
    return undefined;
  }
}

function letterOf(letters: readonly WorkerDeadLetter[], name: string): WorkerDeadLetter {
  const found = letters.find((letter) => letter.name === name);
  if (found !== undefined) return found;
  throw new BridgeError({
    code: 'usage',
    message: `there is no dead letter ${name}`,
    suggestion: '`dead-letters list` shows them, by partition and offset such as 3@1042',
  });
}

function toDeadLetter({ headers, key, value, ...letter }: WorkerDeadLetter): DeadLetter {
  const { name, topic, partition, offset, fault, attempts, deadAt } = letter;
  const texts = Object.entries(headers).map(([header, values]) => [header, [values].flat().map(text)] as const);
  const base64 = (bytes: Uint8Array | null): string | null => bytes && Buffer.from(bytes).toString('base64');
  const shown = value === null ? 'no value' : (textOf(value) ?? `base64 ${base64(value)}`);
  return {
    name,
    deadAt,
    attempts,
    groupId: key === null ? '' : text(key),
    fault,
    origin: `from ${topic}, partition ${partition}, offset ${offset}`,
    content: [
      ...texts.map(([header, values]) => ['header', `${header}: ${values.join(', ')}`] as const),
      ['record', shown],
    ],
    // Key and value may hold any bytes.
    json: { ...letter, key: base64(key), value: base64(value), headers: Object.fromEntries(texts) },
  };
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}
