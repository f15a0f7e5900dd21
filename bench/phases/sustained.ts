import { setTimeout as delay } from 'node:timers/promises';
import { type BenchBridge, startBenchBridge } from '../bridge.ts';
import type { Bench } from '../context.ts';
import { ACKNOWLEDGED, BRIDGE, IN_TURN, SUSTAINED } from '../figures.ts';
import { trendOf } from '../trend.ts';
import { noteFailures, SETTLED_WITHIN_MS, sample } from './measure.ts';

/** Both copies must hold everything so soon after the last callback. */
const CAUGHT_UP_WITHIN_MS = 3_000;
/** A lag may grow by this share of the callbacks: it is a saw, not a line. */
const GROWTH = 0.05;
/** The share of the rate that must have been answered. */
const ANSWERED = 0.98;
/** The search ends once it knows the rate this well. */
const PRECISION = 0.06;

interface Trial {
  readonly holds: boolean;
  readonly why: string;
}

/** Open loop: the highest rate at which both copies stay in step, found by halving. */
export async function measureSustained(bench: Bench): Promise<void> {
  const { figures, print, options } = bench;
  const bridge = await startBenchBridge(bench);
  const known = [ACKNOWLEDGED, IN_TURN].flatMap((name) => figures.get(BRIDGE, name) ?? []);
  const most = known.length > 0 ? Math.max(...known) : await quickMaximum(bench, bridge);
  print(`bridge: searching the sustained rate below ${Math.round(most)}/s`);
  const attempt = async (rate: number, ms: number): Promise<boolean> => {
    const { holds, why } = await tryRate(bench, bridge, rate, ms);
    print(`  ${Math.round(rate)}/s ${holds ? 'holds' : 'does not hold'}: ${why}`);
    return holds;
  };
  let low = 0;
  let high = most;
  while ((high - low) / high > PRECISION) {
    const rate = low === 0 && high === most ? 0.7 * most : (low + high) / 2;
    if (await attempt(rate, options.ms)) low = rate;
    else high = rate;
    if (high < 50) break;
  }
  // A rate that held for a short time must hold for longer.
  while (low > 0 && !(await attempt(low, options.ms * 1.3))) low *= 0.92;
  figures.add({
    subject: BRIDGE,
    name: SUSTAINED,
    value: low,
    unit: '/s',
    means:
      'the highest rate found by halving at which neither lag grows and both copies hold everything within 3 s of the last callback',
  });
  await bridge.close();
}

async function tryRate(
  { load, options, ...bench }: Bench,
  bridge: BenchBridge,
  rate: number,
  ms: number,
): Promise<Trial> {
  await bridge.inStep(SETTLED_WITHIN_MS);
  const warmUpMs = options.warmUpMs;
  const loading = load.load({ url: bridge.url, ms, warmUpMs, rate });
  await delay(warmUpMs);
  const samples = sample(async () => ({ lags: await bridge.lags(), at: performance.now() }), 250);
  const result = await loading;
  const sampled = await samples();
  const caughtUpMs = await bridge.inStep(CAUGHT_UP_WITHIN_MS);
  noteFailures({ load, options, ...bench }, BRIDGE, result);
  if (result.perSecond < rate * ANSWERED)
    return { holds: false, why: `only ${Math.round(result.perSecond)}/s were answered` };
  if (caughtUpMs > CAUGHT_UP_WITHIN_MS) return { holds: false, why: 'not caught up within 3 s' };
  const trends = Object.keys(sampled[0]?.lags ?? {}).map((connector) => ({
    connector,
    ...trendOf(sampled.map(({ at, lags }) => ({ at, value: lags[connector] ?? 0 }))),
  }));
  const growing = trends.find(({ perSecond }) => perSecond > rate * GROWTH);
  if (growing !== undefined)
    return { holds: false, why: `${growing.connector} falls behind by ${Math.round(growing.perSecond)}/s` };
  const shown = trends.map(({ connector, mean }) => `${connector} ${Math.round(mean)} behind`).join(', ');
  return {
    holds: true,
    why: `${shown}, caught up in ${(caughtUpMs / 1_000).toFixed(1)} s, p99 ${result.p99.toFixed(1)} ms`,
  };
}

/** Without the phase that measures it: an upper bound to search below. */
async function quickMaximum({ load, options }: Bench, bridge: BenchBridge): Promise<number> {
  const { perSecond } = await load.load({
    url: bridge.url,
    ms: Math.min(5_000, options.ms),
    warmUpMs: options.warmUpMs,
  });
  await bridge.inStep(SETTLED_WITHIN_MS);
  return perSecond;
}
