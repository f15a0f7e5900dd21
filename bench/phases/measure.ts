import type { BenchBridge } from '../bridge.ts';
import type { Bench } from '../context.ts';
import type { LoadResult } from '../load/order.ts';
import { cpuMs, cpuMsOf } from '../processes.ts';

/** The longest time that the backlog of a measurement may take. */
export const SETTLED_WITHIN_MS = 120_000;

export interface CpuOf {
  readonly result: LoadResult;
  /** Per 1,000 callbacks. */
  readonly bridgeMs: number;
  readonly allMs: { readonly ms: number; readonly of: string };
  readonly catchUpMs: number;
}

/** Runs a load until both copies hold it, and says what CPU time it took. */
export async function cpuOf(
  { servers, load }: Bench,
  bridge: BenchBridge,
  run: () => Promise<LoadResult>,
): Promise<CpuOf> {
  const { kafka, elasticsearch } = servers;
  const started = [kafka.control?.pid, elasticsearch.control?.pid].filter((pid) => pid !== undefined);
  const pids = [bridge.pid, load.pid, ...started];
  const before = { bridge: cpuMs(bridge.pid), all: cpuMsOf(pids) };
  const result = await run();
  const catchUpMs = await bridge.inStep(SETTLED_WITHIN_MS);
  const thousands = (result.ok + result.okInWarmUp) / 1_000;
  return {
    result,
    bridgeMs: (cpuMs(bridge.pid) - before.bridge) / thousands,
    allMs: {
      ms: (cpuMsOf(pids) - before.all) / thousands,
      of: started.length === 2 ? 'bridge, Kafka, Elasticsearch and load' : 'bridge and load, without the servers named',
    },
    catchUpMs,
  };
}

/** Names every callback that was not answered OK. */
export function noteFailures({ print }: Bench, subject: string, { failures, sent }: LoadResult): void {
  for (const [failure, count] of Object.entries(failures))
    print(`  ${subject}: ${count} of ${sent} NOT OK: ${failure}`);
}

/** Collects `read` every `everyMs` until the returned function is called. */
export function sample<T>(read: () => Promise<T>, everyMs: number): () => Promise<T[]> {
  const samples: T[] = [];
  let over = false;
  const wake = Promise.withResolvers<void>();
  const sampling = (async () => {
    while (!over) {
      await read().then(
        (one) => samples.push(one),
        () => {},
      );
      await Promise.race([new Promise((resolve) => setTimeout(resolve, everyMs)), wake.promise]);
    }
  })();
  return async () => {
    over = true;
    wake.resolve();
    await sampling;
    return samples;
  };
}
