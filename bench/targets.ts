import { FDATASYNC } from './bare/index.ts';
import { ACKNOWLEDGED, BRIDGE, compared, type Figures, SUSTAINED } from './figures.ts';
import { atRate, cpuAtRate, FULL_LOAD, JUST_STARTED, LOW_RATE } from './phases/cost.ts';

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
  const atMost = (name: string, most: number, unit: string): void => {
    const reached = bridge(name);
    if (reached === undefined) return;
    found.push({ wanted: `${name} ≤ ${most} ${unit}`, reached: `${reached.toFixed(1)} ${unit}`, met: reached <= most });
  };
  const full = bridge(FULL_LOAD);
  for (const rate of full === undefined ? [] : [LOW_RATE, 2_000]) {
    const ratio = (bridge(cpuAtRate(rate)) ?? Number.NaN) / (full ?? Number.NaN);
    const wanted = `${cpuAtRate(rate)} ≤ 2 × at full load`;
    found.push({ wanted, reached: `${ratio.toFixed(2)} ×`, met: ratio <= 2 });
  }
  atMost(`${atRate(2_000)} p99`, 8, 'ms');
  atMost(`${atRate(5_000)} p99`, 15, 'ms');
  atMost(`CPU at rest, ${JUST_STARTED}`, 0.5, '%');
  atMost(`memory at rest, ${JUST_STARTED}`, 110, 'MB');
  atMost('memory at most', 256, 'MB');
  atMost('memory at most, draining it', 256, 'MB');
  atMost('readable in Kafka p99', 100, 'ms');
  return found;
}
