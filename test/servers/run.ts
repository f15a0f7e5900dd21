/** `npm run servers`: a Kafka and an Elasticsearch to try things with, until Ctrl-C. */
import { missingPrerequisite, startServers } from './index.ts';

const missing = await missingPrerequisite();
if (missing !== undefined) {
  process.stderr.write(`Kafka and Elasticsearch cannot be started here: ${missing}\n`);
  process.exit(1);
}
const servers = await startServers({ onProgress: (line) => process.stderr.write(`${line}\n`) });
process.stdout.write(
  `export KAFKA_BROKERS=${servers.kafka.brokers} ELASTICSEARCH_URL=${servers.elasticsearch.url}\n\nCtrl-C ends them.\n`,
);
// The servers alone do not keep this process.
const waiting = setInterval(() => {}, 2 ** 30);
await new Promise<void>((resolve) => {
  process.once('SIGINT', () => resolve());
  process.once('SIGTERM', () => resolve());
});
clearInterval(waiting);
await servers.stop();
