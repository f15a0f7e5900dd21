import { textOf } from '../client/message.ts';
import { type Config, deadLetterTopic } from '../config/schema.ts';
import { BridgeError } from '../model/fault.ts';
import { createLetters, type Letter, nameOf } from '../worker/dead-letter.ts';
import { openLetterBox } from '../worker/dead-letter-topic.ts';
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
  const topic = deadLetterTopic(source);
  const box = openLetterBox({ ...source, deadLetters: { ...source.deadLetters, topic } }, () => {});
  const found = createLetters();
  try {
    await box.read(found.take, new AbortController().signal);
  } catch (thrown) {
    await box.close();
    throw thrown;
  }
  const letters = found.of(name);
  return {
    naming: 'letter',
    list: async (limit) => letters.slice(0, limit).map(toDeadLetter),
    show: async (name) => toDeadLetter(letterOf(letters, name)),
    /** They go the way of every event: through the topic, to whichever worker has the partition. */
    async retry(names) {
      const chosen = chosenOf(letters, names);
      if (chosen.length > 0) await box.retry(chosen);
      return { taken: chosen.length, left: letters.length - chosen.length };
    },
    async discard(names) {
      const chosen = chosenOf(letters, names);
      await box.discard(chosen);
      return chosen.length;
    },
    close: () => box.close(),
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

function chosenOf(letters: readonly Letter[], names: readonly string[]): Letter[] {
  return names.length === 0 ? [...letters] : names.map((name) => letterOf(letters, name));
}

function letterOf(letters: readonly Letter[], name: string): Letter {
  const found = letters.find((letter) => nameOf(letter) === name);
  if (found !== undefined) return found;
  throw new BridgeError({
    code: 'usage',
    message: `there is no dead letter ${name}`,
    suggestion: '`dead-letters list` shows them, by partition and offset such as 3@1042',
  });
}

function toDeadLetter(letter: Letter): DeadLetter {
  const { record, fault, attempts, deadAt } = letter;
  const { topic, partition, offset, key, value } = record;
  const headers = Object.entries(record.headers).map(([name, values]) => [name, [values].flat().map(String)] as const);
  const base64 = value?.toString('base64') ?? null;
  const text = value === null ? 'no value' : (textOf(value) ?? `base64 ${base64}`);
  return {
    name: nameOf(letter),
    deadAt,
    attempts,
    groupId: key?.toString() ?? '',
    fault,
    origin: `from ${topic}, partition ${partition}, offset ${offset}`,
    content: [
      ...headers.map(([name, values]) => ['header', `${name}: ${values.join(', ')}`] as const),
      ['record', text],
    ],
    // Key and value may hold any bytes.
    json: {
      name: nameOf(letter),
      topic,
      partition,
      offset: String(offset),
      attempts,
      deadAt,
      fault,
      key: key?.toString('base64') ?? null,
      value: base64,
      headers: Object.fromEntries(headers),
    },
  };
}
