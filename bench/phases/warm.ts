import { startBenchBridge } from '../bridge.ts';
import type { Bench } from '../context.ts';
import { SETTLED_WITHIN_MS } from './measure.ts';

/** Nothing is measured: Kafka and Elasticsearch compile their code under the load of the phases that follow. */
export async function warmServers(bench: Bench): Promise<void> {
  const bridge = await startBenchBridge(bench);
  await bench.load.load({ url: bridge.url, ms: bench.options.serversWarmUpMs });
  await bridge.inStep(SETTLED_WITHIN_MS);
  await bridge.close();
}
