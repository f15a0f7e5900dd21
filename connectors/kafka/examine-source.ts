import { Unreachable } from '../../src/model/fault.ts';
import type { Finding } from '../contract.ts';
import { createClient } from './client.ts';
import { deadLetterSettings } from './dead-letters.ts';
import { counted, lookAt, missing, silentBrokers, tryToRead, tryToWrite } from './examine.ts';
import { refuseStrangers } from './group.ts';
import { clientOptions, groupOf, type KafkaSourceOptions, sourceClient } from './options.ts';

/** Checks that these connectors can read the events, and write dead letters. Throws Unreachable. */
export async function* examineSource(
  options: KafkaSourceOptions,
  connectors: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const reached = await sourceClient(options, signal);
  const events = createClient(reached);
  const { topic } = options;
  const { partitions, settings } = await events.ask((admin) => lookAt(admin, topic));
  if (partitions.length === 0) {
    throw new Unreachable({
      code: 'destination-missing',
      path: 'source.topic',
      message: `the topic ${topic} does not exist`,
      suggestion: 'a receiving bridge with a kafka connector creates it',
    });
  }
  yield { step: 'topic', state: 'well', says: `${topic}: ${counted(partitions.length, 'partition')}` };
  yield* tryToRead(settings?.codec, reached);
  for (const connector of connectors) {
    const group = `${groupOf(options)}.${connector}`;
    yield {
      step: 'group',
      state: 'well',
      says: `${group}: ${counted(await refuseStrangers(reached, group), 'member')}`,
    };
  }
  yield* examineDeadLetters(options, signal);
  yield* silentBrokers(reached);
}

async function* examineDeadLetters(source: KafkaSourceOptions, signal: AbortSignal): AsyncGenerator<Finding> {
  const wanted = deadLetterSettings(source);
  const { options, path } = wanted;
  const client = createClient(await clientOptions(options, path, signal));
  try {
    const { partitions, settings } = await client.ask((admin) => lookAt(admin, options.topic));
    if (partitions.length === 0) yield await missing(client, wanted);
    if (settings === undefined) return;
    const { cleanupPolicy, maxMessageBytes } = settings;
    if (cleanupPolicy.includes('delete')) {
      const says = `${options.topic} has cleanup.policy=${cleanupPolicy}: after retention.ms dead letters drop out of it`;
      yield { step: 'cleanup.policy', state: 'note', says };
    }
    yield await tryToWrite(client, options.topic, maxMessageBytes);
  } finally {
    await client.close();
  }
}
