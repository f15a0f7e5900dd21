import type { TestProject } from 'vitest/node';
import { OPENSEARCH, startElasticsearch } from './elasticsearch.ts';
import { progress, whyNone } from './global-setup.ts';
import { missingPrerequisite } from './java.ts';

/** Gives the tests an OpenSearch in the place of the Elasticsearch. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { OPENSEARCH_URL: url = '' } = process.env;
  project.provide('kafkaBrokers', '');
  const why = await whyNone('OpenSearch', url === '' ? await missingPrerequisite(OPENSEARCH) : undefined);
  if (why !== undefined || url !== '') {
    project.provide('elasticsearchUrl', why === undefined ? url : '');
    return async () => {};
  }
  const server = await startElasticsearch({ distribution: OPENSEARCH, heapMb: 384, onProgress: progress });
  project.provide('elasticsearchUrl', server.url);
  return () => server.stop();
}
