import type { TestProject } from 'vitest/node';
import { OPENSEARCH, startElasticsearch } from './elasticsearch.ts';
import { progress, whyNone } from './global-setup.ts';
import { missingPrerequisite } from './java.ts';
import { freePort } from './port.ts';

/** Gives the tests an OpenSearch in the place of the Elasticsearch. Others run while it starts: opensearch-ready.ts waits. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { OPENSEARCH_URL: url = '' } = process.env;
  project.provide('kafkaBrokers', '');
  const why = await whyNone('OpenSearch', url === '' ? await missingPrerequisite(OPENSEARCH) : undefined);
  if (why !== undefined || url !== '') {
    project.provide('elasticsearchUrl', why === undefined ? url : '');
    return async () => {};
  }
  const ports = [await freePort(), await freePort()] as const;
  const starting = startElasticsearch({ distribution: OPENSEARCH, heapMb: 384, ports, onProgress: progress });
  starting.catch(({ message }) => progress(message));
  project.provide('elasticsearchUrl', `http://127.0.0.1:${ports[0]}`);
  return async () => (await starting).stop();
}
