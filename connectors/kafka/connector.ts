import type { Connector, Finding, Host } from '../contract.ts';
import { createClient } from './client.ts';
import { examineTopic, silentBrokers } from './examine.ts';
import { clientOptions, type KafkaOptions, kafkaOptions } from './options.ts';
import { openSink } from './sink.ts';

export const kafka: Connector<KafkaOptions> = {
  kind: 'kafka',
  summary: 'Writes events, as CloudEvents, or the merged groups to a Kafka topic, keyed by group id.',
  options: kafkaOptions,
  readsBack: false,
  holds: ({ content }) => content,
  open: openSink,
  examine,
};

async function* examine(options: KafkaOptions, host: Host, signal: AbortSignal): AsyncGenerator<Finding> {
  const path = `connectors.${host.name}`;
  const settings = await clientOptions(options, path, signal);
  const client = createClient(settings);
  try {
    yield* examineTopic(client, { ...options, path, user: options.sasl?.username });
    yield* silentBrokers(settings);
  } finally {
    await client.close();
  }
}
