import { FDATASYNC } from './bare/index.ts';
import { ACKNOWLEDGED, BRIDGE, type Figures, IN_TURN, SUSTAINED } from './figures.ts';
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
  const atLeast = (
    what: string,
    reached: number | undefined,
    least: number,
    subject: string,
    of = ACKNOWLEDGED,
  ): void => {
    const other = figures.get(subject, of);
    if (reached === undefined || other === undefined) return;
    const ratio = reached / other;
    found.push({ wanted: `${what} ≥ ${least} × ${subject}`, reached: `${ratio.toFixed(2)} ×`, met: ratio >= least });
  };
  // Measured in turn where it was: the machine's better and worse minutes are then of both.
  const bare = figures.get(FDATASYNC.name, IN_TURN) === undefined ? ACKNOWLEDGED : IN_TURN;
  atLeast(bare, bridge(bare), 0.45, FDATASYNC.name, bare);
  atLeast(SUSTAINED, bridge(SUSTAINED), 0.35, FDATASYNC.name, bare);
  for (const [subject, acknowledged, sustained] of [
    ['Vector', 4, 3],
    ['Redpanda Connect', 5, undefined],
    ['Node-RED', 30, 24],
  ] as const) {
    atLeast(ACKNOWLEDGED, bridge(ACKNOWLEDGED), acknowledged, subject);
    if (sustained !== undefined) atLeast(SUSTAINED, bridge(SUSTAINED), sustained, subject);
  }
  const p99 = `${atRate(LOW_RATE)} p99`;
  const own = bridge(p99);
  const bareP99 = figures.get(FDATASYNC.name, p99);
  if (own !== undefined && bareP99 !== undefined) {
    const above = own - bareP99;
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
