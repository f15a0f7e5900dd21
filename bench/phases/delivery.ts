import { startBenchBridge } from '../bridge.ts';
import type { Bench } from '../context.ts';
import { BRIDGE } from '../figures.ts';
import { GROUPS } from '../load/load.ts';
import { startReadback } from '../readback/readback.ts';
import { LOW_RATE } from './cost.ts';
import { noteFailures, SETTLED_WITHIN_MS } from './measure.ts';

const SHORT_REFRESH = '100ms';

/** Open loop at a low rate: from when a callback was due until another process reads it in Kafka, and finds it by a search. */
export async function measureDelivery(bench: Bench): Promise<void> {
  const { load, options, figures, servers, closing, print } = bench;
  const bridge = await startBenchBridge(bench);
  const { ms, warmUpMs } = options;
  // The topic and the index are made by the first callbacks, and the bridge’s code is compiled as that of one that has run for a day.
  await load.load({ url: bridge.url, ms: warmUpMs });
  await bridge.inStep(SETTLED_WITHIN_MS);

  for (const refresh of [undefined, SHORT_REFRESH]) {
    print(
      `bridge: ${LOW_RATE}/s read back from Kafka and Elasticsearch, refresh_interval ${refresh ?? 'as it is (1 s)'}`,
    );
    if (refresh !== undefined) await setRefresh(`${servers.elasticsearch.url}/${bridge.index}`, refresh);
    const readback = await startReadback({
      brokers: servers.kafka.brokers,
      topic: bridge.topic,
      elasticsearchUrl: servers.elasticsearch.url,
      index: bridge.index,
      run: load.nextRun(),
      groups: GROUPS,
    });
    const close = closing.add(readback.close);
    const result = await load.load({ url: bridge.url, ms, rate: LOW_RATE });
    noteFailures(bench, BRIDGE, result);
    await bridge.inStep(SETTLED_WITHIN_MS);
    const groupsSent = Math.min(GROUPS, result.ok);
    const end = performance.now() + 10_000;
    let read = await readback.results();
    while ((read.kafka.count < result.ok || read.elasticsearch.count < groupsSent) && performance.now() < end)
      read = await readback.results();
    await close();

    const { kafka, elasticsearch } = read;
    const means = 'from when a callback was due until';
    if (refresh === undefined) {
      const readable = {
        subject: BRIDGE,
        unit: 'ms',
        means: `${means} a consumer in another process has it (${kafka.count} of ${result.ok} read)`,
      } as const;
      figures.add({ ...readable, name: 'readable in Kafka p50', value: kafka.p50 });
      figures.add({ ...readable, name: 'readable in Kafka p99', value: kafka.p99 });
    }
    const name = `searchable in Elasticsearch${refresh === undefined ? '' : `, refresh ${refresh}`}`;
    const how =
      refresh === undefined
        ? 'the index refreshes itself each second, as by default'
        : `index.refresh_interval ${refresh}`;
    const searchable = {
      subject: BRIDGE,
      unit: 'ms',
      means: `${means} a search in another process finds it; ${how} (${elasticsearch.count} found)`,
    } as const;
    figures.add({ ...searchable, name: `${name} p50`, value: elasticsearch.p50 });
    figures.add({ ...searchable, name: `${name} p99`, value: elasticsearch.p99 });
  }
  await bridge.close();
}

async function setRefresh(indexUrl: string, interval: string): Promise<void> {
  const response = await fetch(`${indexUrl}/_settings`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ index: { refresh_interval: interval } }),
  });
  if (!response.ok) throw new Error(`refresh_interval: ${await response.text()}`);
}
