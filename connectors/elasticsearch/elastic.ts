/**
 * The vendor's client without what the bridge never calls, which is half of what it would load and keep: Arrow for its helpers,
 * a second kind of connection, the switch that hides requests from traces.
 */
import { createRequire } from 'node:module';

const load = createRequire(import.meta.url);
const client = createRequire(load.resolve('@elastic/elasticsearch'));
const transport = createRequire(client.resolve('@elastic/transport'));
const unused = [
  client.resolve('apache-arrow/Arrow.node'),
  transport.resolve('undici'),
  transport.resolve('@opentelemetry/core'),
].filter((file) => load.cache[file] === undefined);

for (const file of unused) {
  const nothing: Partial<NodeJS.Module> = { id: file, filename: file, loaded: true, exports: {} };
  load.cache[file] = nothing as NodeJS.Module;
}
export const { Client, ClusterConnectionPool, errors, HttpConnection, Serializer, Transport } = load(
  '@elastic/elasticsearch',
) as typeof import('@elastic/elasticsearch');
// Connectors of others and SDKs find them as they are.
for (const file of unused) delete load.cache[file];
