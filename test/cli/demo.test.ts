/** The demo on servers that run already: they may be somebody's own. */
import { expect, inject, test } from 'vitest';
import { runCommand } from '../support/bridge.process.ts';

const KAFKA_BROKERS = inject('kafkaBrokers');
const ELASTICSEARCH_URL = inject('elasticsearchUrl');
const skip =
  KAFKA_BROKERS === '' || ELASTICSEARCH_URL === '' ? ' (skipped: no Kafka or Elasticsearch in this run)' : '';

test.skipIf(skip !== '')(
  `it writes made-up groups under names of its own, never to the topic and index of a configuration${skip}`,
  async () => {
    const { code, stdout } = await runCommand(['demo', '--count', '5'], { KAFKA_BROKERS, ELASTICSEARCH_URL });
    expect(stdout).toMatch(/Kafka topic demo\.\S+ holds all 6 [\s\S]*index demo-\S+ holds all 6 groups/);
    expect(code).toBe(0);
  },
  120_000,
);
