import type { Connector } from '../contract.ts';
import { type ElasticsearchOptions, elasticsearchOptions } from './options.ts';

export const elasticsearch: Connector<ElasticsearchOptions> = {
  kind: 'elasticsearch',
  summary: 'Keeps one document per group, or a history of events, in an Elasticsearch index.',
  options: elasticsearchOptions,
  readsBack: true,
  holds: ({ content }) => content,
  // Its documents are searchable after a second anyway; a batch that gathers folds a busy group into far fewer writes.
  maxWaitMs: 50,
  maxEvents: 10_000,
  // The client costs 0.25 s and 60 MB to load: only those who open a sink pay for it.
  open: async (options, host, signal) => (await import('./sink.ts')).openSink(options, host, signal),
  async *examine(options, host, signal) {
    yield* (await import('./examine.ts')).examineIndex(options, host, signal);
  },
};
