import { startBenchBridge } from '../bridge.ts';
import type { Bench } from '../context.ts';
import { BRIDGE } from '../figures.ts';
import { cpuOf, noteFailures } from './measure.ts';

export const LOW_RATE = 500;
const RATES = [LOW_RATE, 2_000, 5_000];

/** Returns the name of the latencies at a fixed rate. */
export const atRate = (rate: number): string => `ack at ${rate}/s`;

/** Open loop: how fast the bridge answers at fixed rates while both connectors deliver. */
export async function measureLatency(bench: Bench): Promise<void> {
  const { load, options, figures, print } = bench;
  const bridge = await startBenchBridge(bench);
  const { ms, warmUpMs } = options;
  for (const rate of RATES) {
    print(`bridge: ${rate}/s, open loop`);
    const { result, bridgeMs, allMs } = await cpuOf(bench, bridge, () =>
      load.load({ url: bridge.url, ms, warmUpMs, rate }),
    );
    noteFailures(bench, BRIDGE, result);
    figures.addLatency(BRIDGE, atRate(rate), result, 'recorded on disk; from when the callback was due to its OK');
    if (rate === LOW_RATE) continue;
    const means = `user and system time per 1,000 callbacks at ${rate}/s, until both copies hold them`;
    const name = `CPU per 1,000 at ${rate}/s`;
    figures.add({ subject: BRIDGE, name, value: bridgeMs, unit: 'ms', means: `of the bridge: ${means}` });
    figures.add({ subject: BRIDGE, name: `${name}, all`, value: allMs.ms, unit: 'ms', means: `${allMs.of}: ${means}` });
  }
  await bridge.close();
}
