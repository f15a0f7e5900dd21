import type { Connector } from '../contract.ts';
import { type HttpOptions, httpOptions } from './options.ts';

export const http: Connector<HttpOptions> = {
  kind: 'http',
  summary: 'Sends each event to an HTTP endpoint: a signed webhook.',
  options: httpOptions,
  holds: () => 'events',
  readsBack: false,
  verifiable: false,
  places: ({ url }) => [{ name: url, option: 'url', use: 'events' }],
  // Of what is not settled when the bridge is killed, all that the endpoint took comes twice.
  maxEvents: 100,
  open: async (options, host, signal) => (await import('./sink.ts')).openSink(options, host, signal),
  async *examine(options, host, signal) {
    yield* (await import('./examine.ts')).examineEndpoint(options, host, signal);
  },
};
