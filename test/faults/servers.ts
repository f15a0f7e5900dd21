/** The servers that faults happen to, and proxies before them. */
import { randomUUID } from 'node:crypto';
import {
  type ElasticsearchServer,
  freePort,
  type KafkaServer,
  startElasticsearch,
  startKafka,
} from '../servers/index.ts';
import type { Copies } from './oracle.ts';
import { startProxy, type TcpProxy } from './proxy.ts';

export const KAFKA = 'group-events';
export const ELASTICSEARCH = 'group-index';

export interface FaultyServers extends Destinations {
  readonly kafka: KafkaServer;
  readonly elasticsearch: ElasticsearchServer;
  /** Kafka past the proxy; `kafka.brokers` is not it. */
  readonly brokers: string;
  readonly proxies: { readonly kafka: TcpProxy; readonly elasticsearch: TcpProxy };
  stop(): Promise<void>;
}

export async function startFaultyServers(onProgress?: (line: string) => void): Promise<FaultyServers> {
  const progress = onProgress === undefined ? {} : { onProgress };
  const ports: number[] = [];
  for (let n = 0; n < 5; n++) ports.push(await freePort());
  const [client, proxied, controller, kafkaProxy = 0, elasticsearchProxy = 0] = ports;
  // A second listener: Kafka's clients go where the broker says that it is, so it must send them to the proxy.
  const settings = {
    'listener.security.protocol.map': 'CLIENT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT',
    listeners: `CLIENT://127.0.0.1:${client},PROXIED://127.0.0.1:${proxied},CONTROLLER://127.0.0.1:${controller}`,
    'advertised.listeners': `CLIENT://127.0.0.1:${client},PROXIED://127.0.0.1:${kafkaProxy}`,
    'controller.quorum.voters': `1@127.0.0.1:${controller}`,
  };
  const [kafka, elasticsearch] = await Promise.allSettled([
    startKafka({ ...progress, settings }),
    startElasticsearch(progress),
  ]);
  if (kafka.status === 'rejected' || elasticsearch.status === 'rejected') {
    for (const one of [kafka, elasticsearch]) if (one.status === 'fulfilled') await one.value.stop();
    throw kafka.status === 'rejected' ? kafka.reason : (elasticsearch as PromiseRejectedResult).reason;
  }
  const proxies = {
    kafka: await startProxy(kafkaProxy, Number(proxied)),
    elasticsearch: await startProxy(elasticsearchProxy, Number(new URL(elasticsearch.value.url).port)),
  };
  const brokers = `127.0.0.1:${client}`;
  const { url } = elasticsearch.value;
  return {
    destinations: destinationsAt(
      { brokers, elasticsearchUrl: url },
      (proxied) => ({
        brokers: [proxied ? `127.0.0.1:${proxies.kafka.port}` : brokers],
        nodes: [proxied ? `http://127.0.0.1:${proxies.elasticsearch.port}` : url],
      }),
      { createIndex: { replicas: 0 } },
    ),
    kafka: kafka.value,
    elasticsearch: elasticsearch.value,
    brokers,
    proxies,
    async stop() {
      await Promise.all([proxies.kafka.close(), proxies.elasticsearch.close()]);
      await Promise.all([kafka.value.stop(), elasticsearch.value.stop()]);
    },
  };
}

/** A topic and an index of their own, and the connectors that write to them, directly or through the proxies. */
export interface Destinations {
  destinations(options?: Readonly<Record<string, unknown>>): {
    readonly copies: Copies;
    readonly connectors: (proxied: boolean) => Readonly<Record<string, unknown>>;
  };
}

/** `brokers` and `nodes` tell where each connector goes. */
export function destinationsAt(
  at: { readonly brokers: string; readonly elasticsearchUrl: string },
  where: (proxied: boolean) => { readonly brokers: readonly string[]; readonly nodes: readonly string[] },
  more: { readonly createTopic?: object; readonly createIndex: object },
): Destinations['destinations'] {
  return (options = {}) => {
    const copies: Copies = { ...at, topic: `faults.${randomUUID()}`, index: `faults-${randomUUID()}` };
    const connectors = (proxied: boolean) => {
      const { brokers, nodes } = where(proxied);
      const { createIndex } = more;
      const createTopic = { partitions: 6, ...more.createTopic };
      return {
        [KAFKA]: { kind: 'kafka', brokers, topic: copies.topic, createTopic, ...options },
        [ELASTICSEARCH]: { kind: 'elasticsearch', nodes, index: copies.index, createIndex, ...options },
      };
    };
    return { copies, connectors };
  };
}
