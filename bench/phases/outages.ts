import { startBenchBridge } from '../bridge.ts';
import type { Bench } from '../context.ts';
import { BRIDGE } from '../figures.ts';
import { atRate, LOW_RATE } from './cost.ts';
import { noteFailures, SETTLED_WITHIN_MS } from './measure.ts';

/** Open loop at a low rate while one destination, then the other, is stopped: an answer must not depend on either. */
export async function measureOutages(bench: Bench): Promise<void> {
  const { load, options, figures, servers, print } = bench;
  const { ms, warmUpMs } = options;
  for (const [name, control] of [
    ['Elasticsearch', servers.elasticsearch.control],
    ['Kafka', servers.kafka.control],
  ] as const) {
    if (control === undefined) {
      print(`${name} is not ours to stop (it was named by the environment): left out`);
      continue;
    }
    print(`bridge: ${LOW_RATE}/s with ${name} stopped`);
    const bridge = await startBenchBridge(bench);
    const before = await load.load({ url: bridge.url, ms, warmUpMs, rate: LOW_RATE });
    noteFailures(bench, BRIDGE, before);
    const meansBefore = 'the same bridge just before, with both running';
    figures.addLatency(BRIDGE, `${atRate(LOW_RATE)}, before ${name} stops`, before, meansBefore);
    await control.kill();
    const result = await load.load({ url: bridge.url, ms, warmUpMs, rate: LOW_RATE });
    await control.restart();
    noteFailures(bench, BRIDGE, result);
    const means = `recorded on disk while ${name} is killed; from when the callback was due to its OK`;
    figures.addLatency(BRIDGE, `${atRate(LOW_RATE)}, ${name} stopped`, result, means);
    const caughtUpMs = await bridge.inStep(SETTLED_WITHIN_MS);
    figures.add({
      subject: BRIDGE,
      name: `caught up after ${name} came back`,
      value: caughtUpMs / 1_000,
      unit: 's',
      means: 'from when it answers again until both copies hold everything',
    });
    await bridge.close();
  }
}
