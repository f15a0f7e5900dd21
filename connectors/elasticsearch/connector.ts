import { hostOf, oneHost } from '../../src/model/address.ts';
import type { Connector } from '../contract.ts';
import { type ElasticsearchOptions, elasticsearchOptions, metadataProblems, versionsIndexProblems } from './options.ts';

export const elasticsearch: Connector<ElasticsearchOptions> = {
  kind: 'elasticsearch',
  summary: 'Keeps one document per group, or a history of events, in an index of Elasticsearch or OpenSearch.',
  options: elasticsearchOptions,
  readsBack: true,
  shapes: ['id', 'versionsIndex'],
  shapeProblems: ({ index }, shape) => [...metadataProblems(shape), ...versionsIndexProblems(index, shape)],
  holds: ({ content }) => content,
  places({ nodes, index, content, onDestroyed }, shape) {
    // One that deletes documents and one that marks them would undo each other's work for ever.
    const use = content === 'groups' ? `${content}, ${onDestroyed}` : content;
    const indices = [{ name: index, option: 'index', use }];
    const beside = shape?.versionsIndex;
    if (beside !== undefined) {
      indices.push({ name: beside, option: 'shape.versionsIndex', use: `the versions of ${index}` });
    }
    return nodes.flatMap((node) => {
      const url = new URL(node);
      url.hostname = oneHost(hostOf(url));
      const at = url.origin + url.pathname.replace(/\/*$/, '/');
      return indices.map((one) => ({ ...one, name: `index ${one.name} at ${at}` }));
    });
  },
  // Documents are searchable only after a second anyway; gathering coalesces a busy group into far fewer writes.
  maxWaitMs: 50,
  maxEvents: 10_000,
  // Loading the client costs 0.25 s and 60 MB: only opening a sink does so.
  open: async (options, host, signal) => (await import('./sink.ts')).openSink(options, host, signal),
  async *examine(options, host, signal) {
    yield* (await import('./examine.ts')).examineIndex(options, host, signal);
  },
};
