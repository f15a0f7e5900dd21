/**
 * `npm run test:versions [-- --elasticsearch 7.10.2,9.2.4 --opensearch 1.3.20]`: the connector's tests against other versions,
 * each fetched by mvn and started here. Prints the table of docs/compatibility.md.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import type { Distribution } from './artifacts.ts';
import { startElasticsearch } from './elasticsearch.ts';

const { values } = parseArgs({
  options: {
    elasticsearch: { type: 'string', default: '7.10.2,7.17.29,9.2.4' },
    opensearch: { type: 'string', default: '1.3.20,2.19.6,3.6.0' },
  },
});
/** The suite; what depends on the product's own words and mappings beside it is run by `npm test`, for one version each. */
const TESTS = ['test/connectors/elasticsearch.test.ts', 'test/connectors/elasticsearch-state.test.ts'];

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const listed = (product: Distribution['product'], versions: string): Distribution[] =>
  versions.split(',').flatMap((version) => (version === '' ? [] : [{ product, version }]));

async function runTests(url: string): Promise<string> {
  const args = ['node_modules/vitest/vitest.mjs', 'run', '--project', 'servers', ...TESTS];
  // No Kafka is needed; this names one so that none is started.
  const env = { ...process.env, ELASTICSEARCH_URL: url, KAFKA_BROKERS: '127.0.0.1:1', NO_COLOR: '1' };
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await once(child, 'close');
  for (const line of said.split('\n').filter((one) => /×|AssertionError|Error:/.test(one))) print(`  ${line.trim()}`);
  return /Tests +(.+)/.exec(said)?.[1]?.replaceAll(' | ', ', ') ?? 'no test was run';
}

const rows: string[] = [];
let failed = false;
for (const distribution of [
  ...listed('elasticsearch', values.elasticsearch),
  ...listed('opensearch', values.opensearch),
]) {
  const name = `${distribution.product === 'opensearch' ? 'OpenSearch' : 'Elasticsearch'} ${distribution.version}`;
  let result: string;
  try {
    const server = await startElasticsearch({ distribution, heapMb: 512, onProgress: print });
    try {
      result = await runTests(server.url);
    } finally {
      await server.stop();
    }
  } catch (thrown) {
    result = `not run: ${thrown instanceof Error ? thrown.message.split('\n')[0] : String(thrown)}`;
  }
  failed ||= !/^\d+ passed/.test(result);
  print(`${name}: ${result}`);
  rows.push(`| ${name} | ${result} |`);
}
print(['', '| server | tests of the connector |', '|---|---|', ...rows].join('\n'));
process.exit(failed ? 1 : 0);
