/**
 * `npm run test:versions [-- --elasticsearch 7.10.2,9.2.4 --opensearch 1.3.20 --kafka 2.8.2]`: the connectors' tests against other
 * versions, each fetched by mvn and started here; Kafka is also checked from outside. Prints the tables of docs/compatibility.md.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { type Distribution, isBefore } from './artifacts.ts';
import { startElasticsearch } from './elasticsearch.ts';
import { startKafka } from './kafka.ts';
import { checkKafka, checkRefused } from './versions-kafka.ts';

const { values } = parseArgs({
  options: {
    elasticsearch: { type: 'string', default: '7.10.2,7.17.29,8.19.0,9.2.4' },
    opensearch: { type: 'string', default: '1.3.20,2.19.6,3.6.0' },
    kafka: { type: 'string', default: '0.10.2.2,1.1.1,2.8.2,3.9.1,4.1.1,4.4.0' },
  },
});
/** The suites; what depends on the product's own words and mappings beside it is run by `npm test`, for one version each. */
const TESTS = ['test/connectors/elasticsearch.test.ts', 'test/connectors/elasticsearch-state.test.ts'];
const KAFKA_TESTS = ['test/connectors/kafka.test.ts'];
/** Named where no server is needed, so that none is started. */
const NONE = { ELASTICSEARCH_URL: 'http://127.0.0.1:1', KAFKA_BROKERS: '127.0.0.1:1' };

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const listed = (product: Distribution['product'], versions: string): Distribution[] =>
  versions.split(',').flatMap((version) => (version === '' ? [] : [{ product, version }]));

async function runTests(tests: readonly string[], servers: Partial<typeof NONE>): Promise<string> {
  const args = ['node_modules/vitest/vitest.mjs', 'run', '--project', 'servers', ...tests];
  const env = { ...process.env, ...NONE, ...servers, NO_COLOR: '1' };
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await once(child, 'close');
  for (const line of said.split('\n').filter((one) => /×|AssertionError|Error:/.test(one))) print(`  ${line.trim()}`);
  return /Tests +(.+)/.exec(said)?.[1]?.replaceAll(' | ', ', ') ?? 'no test was run';
}

/** Runs the checks on a server, and ends it. */
async function run<Server extends { stop(): Promise<void> }>(
  starting: Promise<Server>,
  check: (server: Server) => Promise<string>,
): Promise<string> {
  try {
    const server = await starting;
    return await check(server).finally(() => server.stop());
  } catch (thrown) {
    return `not right: ${thrown instanceof Error ? thrown.message.split('\n')[0] : String(thrown)}`;
  }
}

let failed = false;
const rows: { elasticsearch: string[]; kafka: string[] } = { elasticsearch: [], kafka: [] };
function note(to: string[], name: string, ...results: string[]): void {
  failed ||= results.some((result) => !/^not run$|^\d+ passed|^\d+ callbacks right|^refused in words/.test(result));
  print(`${name}: ${results.join('; ')}`);
  to.push(`| ${[name, ...results].join(' | ')} |`);
}

for (const distribution of [
  ...listed('elasticsearch', values.elasticsearch),
  ...listed('opensearch', values.opensearch),
]) {
  const name = `${distribution.product === 'opensearch' ? 'OpenSearch' : 'Elasticsearch'} ${distribution.version}`;
  const starting = startElasticsearch({ distribution, heapMb: 512, onProgress: print });
  note(rows.elasticsearch, name, await run(starting, ({ url }) => runTests(TESTS, { ELASTICSEARCH_URL: url })));
}
for (const version of values.kafka.split(',').filter(Boolean)) {
  const start = () => startKafka({ version, onProgress: print });
  if (isBefore(version, '0.11')) {
    note(rows.kafka, `Kafka ${version}`, 'not run', await run(start(), checkRefused));
    continue;
  }
  const tests = await run(start(), ({ brokers }) => runTests(KAFKA_TESTS, { KAFKA_BROKERS: brokers }));
  note(rows.kafka, `Kafka ${version}`, tests, await run(start(), checkKafka));
}
print(['', '| server | tests of the connector |', '|---|---|', ...rows.elasticsearch].join('\n'));
print(
  [
    '',
    '| server | tests of the connector | from callbacks to the copies, the broker killed in between |',
    '|---|---|---|',
    ...rows.kafka,
  ].join('\n'),
);
process.exit(failed ? 1 : 0);
