/**
 * The vendor's client without the parts that the bridge never calls, most of what it would load and keep: a function for
 * each API request (api.ts has ours, the same for every server), Arrow for its helpers, a second kind of connection, the
 * switch that hides requests from traces.
 */
import { createRequire } from 'node:module';

const load = createRequire(import.meta.url);
const client = createRequire(load.resolve('@elastic/elasticsearch'));
const transport = createRequire(client.resolve('@elastic/transport'));
/** Empty if another version of the client lacks it. */
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
// Users' connectors and SDKs find them intact.
for (const file of unused) delete load.cache[file];
