import type { CanonicalEvent } from '../../src/model/event.ts';
import { type Fault, Unreachable } from '../../src/model/fault.ts';
import { fill } from '../../src/model/template.ts';
import { orAborted } from '../../src/model/wait.ts';
import { createClient, type KafkaClient } from './client.ts';
import { wordsOfEvent } from './message.ts';
import { type ClusterOptions, clientOptions, type NewTopic } from './options.ts';

export interface TopicSettings {
  readonly options: ClusterOptions;
  /** How the YAML names what writes to it: `connectors.group-events`. */
  readonly path: string;
  readonly createTopic: false | NewTopic;
  /** Whether only the last record of each key should stay. */
  readonly compacted: boolean;
  /** Called when the topic was created, with how. */
  created(message: string): void;
}

/** A topic to write to, created if it is missing. Connects to nothing yet. */
export function openTopic({ options, path, createTopic, compacted, created }: TopicSettings) {
  const never = new AbortController().signal;
  // A kafkajs client may be beyond repair after trouble (stale metadata, a dead producer): it is replaced after any.
  let client: KafkaClient | undefined;

  const connect = async (): Promise<KafkaClient> => {
    const fresh = createClient(await clientOptions(options, path, never));
    client = fresh;
    if (await fresh.findTopic()) return fresh;
    if (createTopic === false) throw new Unreachable(missingTopic(options.topic, path, compacted));
    const { partitions, replicationFactor } = createTopic;
    if (await fresh.createTopic(asCreated(createTopic, compacted))) {
      created(`created the topic ${options.topic}: ${partitions} partitions, replication factor ${replicationFactor}`);
    }
    return fresh;
  };
  const drop = async (): Promise<void> => {
    const dropped = client;
    client = undefined;
    await dropped?.close();
  };
  return {
    /** Runs the work with a client. kafkajs knows no signals: on an abort the client is closed under the work. */
    async use<T>(signal: AbortSignal, work: (client: KafkaClient) => Promise<T>): Promise<T> {
      signal.throwIfAborted();
      const done = async (): Promise<T> => work(client ?? (await connect()));
      try {
        return await orAborted(signal, done());
      } catch (thrown) {
        await drop();
        throw thrown;
      }
    },
    /** Closes the client; the next use creates another. */
    drop,
  };
}

export function asCreated(createTopic: NewTopic, compacted: boolean): NewTopic {
  return { ...createTopic, config: { ...(compacted && { 'cleanup.policy': 'compact' }), ...createTopic.config } };
}

export function missingTopic(topic: string, path: string, compacted: boolean): Fault {
  const how = compacted ? 'create it with cleanup.policy=compact' : 'create it';
  return {
    code: 'destination-missing',
    message: `Kafka: the topic ${topic} does not exist`,
    path: `${path}.topic`,
    suggestion: `${how}, or set createTopic`,
  };
}

/** Returns the topic for an event by a template; characters that Kafka does not allow become underscores. */
export function topicOf(template: string, event: CanonicalEvent): string {
  const { groupType, type, app } = wordsOfEvent(event);
  const legal = (word = ''): string => word.replace(/[^a-zA-Z0-9._-]/g, '_').slice(0, 100);
  const named = fill(template, { groupType: legal(groupType || 'unknown'), type: legal(type), app: legal(app) });
  return named.slice(0, 249);
}
