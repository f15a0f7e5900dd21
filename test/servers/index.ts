import { type ElasticsearchServer, startElasticsearch } from './elasticsearch.ts';
import { type KafkaServer, startKafka } from './kafka.ts';

export { artifactsArePresent, type Distribution, fetchArtifacts } from './artifacts.ts';
export {
  type ElasticsearchCluster,
  type KafkaCluster,
  startElasticsearchCluster,
  startKafkaCluster,
} from './cluster.ts';
export {
  type ElasticsearchServer,
  elasticsearchReader,
  elasticsearchSecurity,
  elasticsearchUser,
  startElasticsearch,
} from './elasticsearch.ts';
export { missingPrerequisite } from './java.ts';
export { type KafkaServer, kafkaSecurity, kafkaUser, startKafka } from './kafka.ts';
export { freePort } from './port.ts';
export type { ServerHandle, ServerOptions } from './process.ts';

/** Options for starting both servers. */
export interface StartOptions {
  readonly onProgress?: (line: string) => void;
  /** More lines for Kafka's server.properties. */
  readonly kafka?: Readonly<Record<string, string>>;
  /** More lines for elasticsearch.yml. */
  readonly elasticsearch?: Readonly<Record<string, string>>;
  /** They are measured, and must be as quick as they can. */
  readonly lasts?: boolean;
}

/** Both servers; `control` is there for those that were started here. */
export interface Servers {
  readonly kafka: { readonly brokers: string; readonly control?: KafkaServer };
  readonly elasticsearch: { readonly url: string; readonly control?: ElasticsearchServer };
  stop(): Promise<void>;
}

/** Starts both, except those that KAFKA_BROKERS and ELASTICSEARCH_URL name, which are used unchanged. */
export async function startServers(options: StartOptions = {}): Promise<Servers> {
  const { KAFKA_BROKERS: brokers, ELASTICSEARCH_URL: url } = process.env;
  const { onProgress, lasts = false } = options;
  const shared = { lasts, ...(onProgress && { onProgress }) };
  const settled = await Promise.allSettled([
    brokers ? undefined : startKafka({ ...shared, settings: options.kafka ?? {} }),
    url ? undefined : startElasticsearch({ ...shared, settings: options.elasticsearch ?? {} }),
  ]);
  const [kafka, elasticsearch] = settled.map((one) => (one.status === 'fulfilled' ? one.value : undefined)) as [
    KafkaServer | undefined,
    ElasticsearchServer | undefined,
  ];
  const stop = async () => void (await Promise.all([kafka?.stop(), elasticsearch?.stop()]));
  const failed = settled.find((one) => one.status === 'rejected');
  if (failed) {
    await stop();
    throw failed.reason;
  }
  return {
    kafka: kafka ? { brokers: kafka.brokers, control: kafka } : { brokers: brokers ?? '' },
    elasticsearch: elasticsearch ? { url: elasticsearch.url, control: elasticsearch } : { url: url ?? '' },
    stop,
  };
}
