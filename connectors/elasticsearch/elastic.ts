/**
 * The vendor's client without what the bridge never calls, which is most of what it would load and keep: a function for each
 * request of the API (what is asked stands in api.ts, for every server alike), Arrow for its helpers, a second kind of
 * connection, the switch that hides requests from traces.
 */
import { createRequire } from 'node:module';

const load = createRequire(import.meta.url);
const client = createRequire(load.resolve('@elastic/elasticsearch'));
const transport = createRequire(client.resolve('@elastic/transport'));
/** None where another version of the client does without it. */
const fileOf = (from: NodeJS.Require, name: string): string[] => {
  try {
    return [from.resolve(name)];
  } catch {
    return [];
  }
};
const unused = [
  ...fileOf(client, './lib/api'),
  ...fileOf(client, 'apache-arrow/Arrow.node'),
  ...fileOf(transport, 'undici'),
  ...fileOf(transport, '@opentelemetry/core'),
].filter((file) => load.cache[file] === undefined);

for (const file of unused) {
  // The client extends the class of the API.
  const exports = { __esModule: true, default: class {} };
  const nothing: Partial<NodeJS.Module> = { id: file, filename: file, loaded: true, exports };
  load.cache[file] = nothing as NodeJS.Module;
}
export const { Client, ClusterConnectionPool, errors, HttpConnection, Serializer, Transport } = load(
  '@elastic/elasticsearch',
) as typeof import('@elastic/elasticsearch');
// Connectors of others and SDKs find them as they are.
for (const file of unused) delete load.cache[file];
