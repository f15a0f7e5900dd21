/** `dead-letters` of a worker: from its topic, whether a worker runs or not. */

import { textOf } from '../client/message.ts';
import type { Config } from '../config/schema.ts';
import { deadLetterTopic, type Source } from '../config/source.ts';
import { BridgeError } from '../model/fault.ts';
import { createLetters, type Letter, nameOf } from '../worker/dead-letter.ts';
import { openLetterBox } from '../worker/dead-letter-topic.ts';
import { requireConfig } from './configuration.ts';
import type { OperateOptions } from './operate.ts';
import { print, table } from './terminal.ts';

export interface LetterOptions extends OperateOptions {
  readonly source: Source;
  readonly connectors: Config['connectors'];
}

/** With a worker's configuration its source; undefined with that of a bridge, which is asked by its admin server. */
export function workerOptions(options: OperateOptions): LetterOptions | undefined {
  let config: Config;
  try {
    config = requireConfig(options.config).config;
  } catch (thrown) {
    // With --admin none is needed, unless it was named.
    if (options.config !== undefined || options.admin === undefined) throw thrown;
    return undefined;
  }
  const { source, connectors } = config;
  return source === undefined ? undefined : { ...options, source, connectors };
}

async function withBox<T>(
  name: string,
  { source, connectors }: LetterOptions,
  work: (box: ReturnType<typeof openLetterBox>, letters: Letter[]) => Promise<T>,
): Promise<T> {
  if (connectors[name] === undefined) {
    throw new BridgeError({
      code: 'connector-unknown',
      message: `no connector is called ${name}`,
      suggestion: `known: ${Object.keys(connectors).join(', ')}`,
    });
  }
  const topic = deadLetterTopic(source);
  const box = openLetterBox({ ...source, deadLetters: { ...source.deadLetters, topic } }, () => {});
  try {
    const letters = createLetters();
    await box.read(letters.take, new AbortController().signal);
    return await work(box, letters.of(name));
  } finally {
    await box.close();
  }
}

const times = (count: number): string => `${count} ${count === 1 ? 'attempt' : 'attempts'}`;
const some = (count: number): string => `${count} dead ${count === 1 ? 'letter' : 'letters'}`;

/** As programs read it; the bytes in base64, since they may be anything. */
function plain(letter: Letter): Record<string, unknown> {
  const { record, fault, attempts, deadAt } = letter;
  const headers = Object.entries(record.headers).map(([name, value]) => [name, [value].flat().map(String)]);
  return {
    name: nameOf(letter),
    topic: record.topic,
    partition: record.partition,
    offset: String(record.offset),
    attempts,
    deadAt,
    fault,
    key: record.key?.toString('base64') ?? null,
    value: record.value?.toString('base64') ?? null,
    headers: Object.fromEntries(headers),
  };
}

export function listLetters(name: string, options: LetterOptions & { limit: number }): Promise<void> {
  return withBox(name, options, async (_, letters) => {
    const shown = letters.slice(0, options.limit);
    if (options.json) return print(JSON.stringify({ deadLetters: shown.map(plain) }));
    if (letters.length === 0) return print(`${name} has no dead letters`);
    table(
      ['letter', 'given up at', 'group', 'attempts', 'reason'],
      shown.map((letter) => [
        nameOf(letter),
        new Date(letter.deadAt).toISOString(),
        letter.record.key?.toString() ?? '',
        String(letter.attempts),
        letter.fault.message,
      ]),
    );
  });
}

export function showLetter(name: string, which: string, options: LetterOptions): Promise<void> {
  return withBox(name, options, async (_, letters) => {
    const [letter] = named(letters, [which]);
    if (letter === undefined) return;
    if (options.json) return print(JSON.stringify(plain(letter)));
    const { record, fault } = letter;
    const text = record.value === null ? undefined : textOf(record.value);
    print(`letter     ${nameOf(letter)}, from ${record.topic}, partition ${record.partition}, offset ${record.offset}`);
    print(`given up   ${new Date(letter.deadAt).toISOString()}, after ${times(letter.attempts)}`);
    print(`reason     ${fault.message}`);
    if (fault.suggestion !== undefined) print(`what to do ${fault.suggestion}`);
    for (const [header, value] of Object.entries(record.headers))
      print(`header     ${header}: ${[value].flat().join(', ')}`);
    print(`record     ${record.value === null ? 'no value' : (text ?? `base64 ${record.value.toString('base64')}`)}`);
  });
}

/** All unless some are named. They go the way of every event: through the topic, to whichever worker has the partition. */
export function retryLetters(name: string, which: readonly string[], options: LetterOptions): Promise<void> {
  return withBox(name, options, async (box, letters) => {
    const chosen = named(letters, which);
    if (chosen.length === 0) return print(`${name} has no dead letters`);
    await box.retry(chosen);
    if (options.json) return print(JSON.stringify({ taken: chosen.length, left: letters.length - chosen.length }));
    const { topic } = options.source;
    print(
      `put ${some(chosen.length)} into ${topic} once more, for ${name} only; what is refused again is listed again`,
    );
  });
}

export function discardLetters(
  name: string,
  which: readonly string[],
  options: LetterOptions & { all: boolean },
): Promise<void> {
  return withBox(name, options, async (box, letters) => {
    if (which.length === 0 && !options.all) {
      const message = 'name the dead letters, or say --all: what is discarded never reaches this destination';
      throw new BridgeError({ code: 'usage', message });
    }
    const chosen = named(letters, which);
    await box.discard(chosen);
    if (options.json) return print(JSON.stringify({ discarded: chosen.length }));
    print(`discarded ${some(chosen.length)} of ${name}`);
  });
}

/** All when none is named. */
function named(letters: readonly Letter[], which: readonly string[]): Letter[] {
  if (which.length === 0) return [...letters];
  return which.map((one) => {
    const found = letters.find((letter) => nameOf(letter) === one);
    if (found !== undefined) return found;
    throw new BridgeError({
      code: 'usage',
      message: `there is no dead letter ${one}`,
      suggestion: '`dead-letters list` shows them, by partition and offset such as 3@1042',
    });
  });
}
