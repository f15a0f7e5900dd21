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
  const { KAFKA_BROKERS: brokers = '', ELASTICSEARCH_URL: url = '' } = process.env;
  const given = brokers !== '' && url !== '';
  const why = await whyNone('Kafka and Elasticsearch', given ? undefined : await missingPrerequisite());
  if (why !== undefined) {
    const off = why === 'off';
    provide(off ? '' : brokers, off ? '' : url);
    return async () => {};
  }
  const servers = await startServers({ onProgress: progress });
  provide(servers.kafka.brokers, servers.elasticsearch.url);
  return () => servers.stop();
}

export const progress = (line: string): void => void process.stderr.write(`${line}\n`);

/** Tells why these servers are not to be had, loudly: with CI=true it throws. */
export async function whyNone(servers: string, missing: string | undefined): Promise<'off' | 'missing' | undefined> {
  const mustRun = process.env.CI === 'true';
  if (process.env.BRIDGE_TEST_SERVERS === 'off') {
    if (mustRun)
      throw new Error('BRIDGE_TEST_SERVERS=off is refused with CI=true: the tests that need servers must run');
    progress(`BRIDGE_TEST_SERVERS=off: the tests that need ${servers} are skipped`);
    return 'off';
  }
  if (missing === undefined) return undefined;
  if (mustRun) throw new Error(`${servers} cannot be started for the tests: ${missing}`);
  process.stderr.write(notice(servers, missing));
  return 'missing';
}

function notice(servers: string, missing: string): string {
  const rule = '!'.repeat(100);
  return [
    '',
    rule,
    `  SKIPPED: every test that needs a real server. ${servers} cannot be started here:`,
    `  ${missing}`,
    '  Or name running ones with KAFKA_BROKERS, ELASTICSEARCH_URL and OPENSEARCH_URL.',
    rule,
    '',
    '',
  ].join('\n');
}
