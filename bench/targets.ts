import { FDATASYNC } from './bare/index.ts';
import { ACKNOWLEDGED, BRIDGE, compared, type Figures, SUSTAINED } from './figures.ts';
import { atRate, LOW_RATE } from './phases/latency.ts';

export interface Target {
  readonly wanted: string;
  readonly reached: string;
  readonly met: boolean;
}

/** The aims, as ratios of one run; those whose figures were not measured are left out. */
export function targets(figures: Figures): Target[] {
  const bridge = (name: string): number | undefined => figures.get(BRIDGE, name);
  const found: Target[] = [];
  const atLeast = (what: string, reached: number | undefined, least: number, subject: string, of: string): void => {
    const other = figures.get(subject, of);
    if (reached === undefined || other === undefined) return;
    const ratio = reached / other;
    found.push({ wanted: `${what} ≥ ${least} × ${subject}`, reached: `${ratio.toFixed(2)} ×`, met: ratio >= least });
  };
  for (const [subject, rate, acknowledged, sustained] of [
    [FDATASYNC.name, compared(figures), 0.45, 0.35],
    ['Vector', ACKNOWLEDGED, 4, 3],
    ['Node-RED', ACKNOWLEDGED, 30, 24],
  ] as const) {
    atLeast(rate, bridge(rate), acknowledged, subject, rate);
    atLeast(SUSTAINED, bridge(SUSTAINED), sustained, subject, rate);
  }
  const p99 = `${atRate(LOW_RATE)} p99`;
  const own = bridge(p99);
  const bare = figures.get(FDATASYNC.name, p99);
  if (own !== undefined && bare !== undefined) {
    const above = own - bare;
    found.push({
      wanted: `${p99} ≤ 10 ms above ${FDATASYNC.name}'s`,
      reached: `${above.toFixed(1)} ms above`,
      met: above <= 10,
    });
  }
  for (const name of ['Elasticsearch', 'Kafka']) {
    const stopped = bridge(`${atRate(LOW_RATE)}, ${name} stopped p99`);
    const running = bridge(`${atRate(LOW_RATE)}, before ${name} stops p99`);
    if (running === undefined || stopped === undefined) continue;
    const ratio = stopped / running;
    found.push({
      wanted: `${p99} with ${name} stopped ≤ 1.3 × before`,
      reached: `${ratio.toFixed(2)} ×`,
      met: ratio <= 1.3,
    });
  }
  const kafka = bridge('readable in Kafka p99');
  if (kafka !== undefined)
    found.push({
      wanted: 'readable in Kafka p99 ≤ 100 ms at 500/s',
      reached: `${kafka.toFixed(1)} ms`,
      met: kafka <= 100,
    });
  return found;
}
