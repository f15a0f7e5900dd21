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

export interface FaultyServers {
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
  return {
    kafka: kafka.value,
    elasticsearch: elasticsearch.value,
    brokers: `127.0.0.1:${client}`,
    proxies,
    async stop() {
      await Promise.all([proxies.kafka.close(), proxies.elasticsearch.close()]);
      await Promise.all([kafka.value.stop(), elasticsearch.value.stop()]);
    },
  };
}

export const KAFKA = 'group-events';
export const ELASTICSEARCH = 'group-index';

/** A topic and an index of their own, and the connectors that write to them, directly or through the proxies. */
export function destinations(servers: FaultyServers, options: Readonly<Record<string, unknown>> = {}) {
  const copies: Copies = {
    brokers: servers.brokers,
    topic: `faults.${randomUUID()}`,
    elasticsearchUrl: servers.elasticsearch.url,
    index: `faults-${randomUUID()}`,
  };
  const { proxies } = servers;
  const connectors = (proxied: boolean) => ({
    [KAFKA]: {
      kind: 'kafka',
      brokers: [proxied ? `127.0.0.1:${proxies.kafka.port}` : servers.brokers],
      topic: copies.topic,
      createTopic: { partitions: 6 },
      ...options,
    },
    [ELASTICSEARCH]: {
      kind: 'elasticsearch',
      nodes: [proxied ? `http://127.0.0.1:${proxies.elasticsearch.port}` : servers.elasticsearch.url],
      index: copies.index,
      createIndex: { replicas: 0 },
      ...options,
    },
  });
  return { copies, connectors };
}
