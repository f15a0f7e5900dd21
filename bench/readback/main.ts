/** Reads both copies in a process of its own and notes when each callback of a load becomes readable. Ends with its parent. */
import { createHistogram } from 'node:perf_hooks';
import { followIndex } from './index-reader.ts';
import type { ReadbackOrder, ReadbackResult } from './readback.ts';
import { followTopic } from './topic-reader.ts';

process.on('disconnect', () => process.exit(0));
process.on('SIGINT', () => {});

/** Microseconds since 1970, by the same clock as the load's. */
const now = (): number => (performance.timeOrigin + performance.now()) * 1_000;

/** Collects the delay of each callback, the first time it is read. */
function collector() {
  const histogram = createHistogram({ lowest: 1, highest: 600_000_000, figures: 3 });
  const seen = new Set<number>();
  return {
    take(number: number, dueAt: number): void {
      if (seen.has(number)) return;
      seen.add(number);
      histogram.record(Math.max(1, Math.round(now() - dueAt)));
    },
    result: (): ReadbackResult => ({
      count: seen.size,
      p50: histogram.percentile(50) / 1_000,
      p99: histogram.percentile(99) / 1_000,
      max: histogram.max / 1_000,
    }),
  };
}

async function follow(order: ReadbackOrder): Promise<void> {
  const kafka = collector();
  const index = collector();
  await Promise.all([followTopic(order, kafka.take), followIndex(order, index.take)]);
  process.send?.({ ready: true });
  process.on('message', () => process.send?.({ kafka: kafka.result(), elasticsearch: index.result() }));
}

process.once('message', (order: ReadbackOrder) => {
  follow(order).catch((thrown: unknown) => {
    process.stderr.write(`readback: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
    process.exit(1);
  });
});
