import type { TestProject } from 'vitest/node';
import { missingPrerequisite, startServers } from './index.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** 'host:port', or empty when the run has no Kafka. */
    kafkaBrokers: string;
    /** The origin, or empty when the run has no Elasticsearch. */
    elasticsearchUrl: string;
  }
}

/** Starts the servers once for the whole run; vitest calls it, and what it returns at the end. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const provide = (kafkaBrokers: string, elasticsearchUrl: string) => {
    project.provide('kafkaBrokers', kafkaBrokers);
    project.provide('elasticsearchUrl', elasticsearchUrl);
  };
  const mustRun = process.env.CI === 'true';
  const { KAFKA_BROKERS: brokers = '', ELASTICSEARCH_URL: url = '' } = process.env;

  if (process.env.BRIDGE_TEST_SERVERS === 'off') {
    if (mustRun)
      throw new Error('BRIDGE_TEST_SERVERS=off is refused with CI=true: the tests that need servers must run');
    process.stderr.write('BRIDGE_TEST_SERVERS=off: the tests that need Kafka or Elasticsearch are skipped\n');
    provide('', '');
    return async () => {};
  }

  const missing = brokers && url ? undefined : await missingPrerequisite();
  if (missing !== undefined) {
    if (mustRun) throw new Error(`Kafka and Elasticsearch cannot be started for the tests: ${missing}`);
    process.stderr.write(notice(missing));
    provide(brokers, url);
    return async () => {};
  }

  const servers = await startServers({ onProgress: (line) => process.stderr.write(`${line}\n`) });
  provide(servers.kafka.brokers, servers.elasticsearch.url);
  return () => servers.stop();
}

function notice(missing: string): string {
  const rule = '!'.repeat(100);
  return [
    '',
    rule,
    '  SKIPPED: every test that needs a real Kafka or Elasticsearch. They cannot be started here:',
    `  ${missing}`,
    '  Or name running ones with KAFKA_BROKERS and ELASTICSEARCH_URL.',
    rule,
    '',
    '',
  ].join('\n');
}
