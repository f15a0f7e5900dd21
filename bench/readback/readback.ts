import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** The order to the reading process. */
export interface ReadbackOrder {
  readonly brokers: string;
  readonly topic: string;
  readonly elasticsearchUrl: string;
  readonly index: string;
  /** The word of the load to look for. */
  readonly run: string;
  readonly groups: number;
}

/** Delays in ms, from when a callback was due until the reader had it. */
export interface ReadbackResult {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface Readback {
  readonly pid: number;
  /** Returns the results so far. */
  results(): Promise<{ readonly kafka: ReadbackResult; readonly elasticsearch: ReadbackResult }>;
  close(): void;
}

/** Resolves once both copies are followed. */
export async function startReadback(order: ReadbackOrder): Promise<Readback> {
  const child = fork(fileURLToPath(new URL('main.ts', import.meta.url)));
  const gone = once(child, 'exit').then(() => {
    throw new Error('the reading process has ended');
  });
  gone.catch(() => {});
  child.send(order);
  await Promise.race([once(child, 'message'), gone]);
  return {
    pid: child.pid ?? 0,
    async results() {
      child.send({});
      const [results] = await Promise.race([once(child, 'message'), gone]);
      return results;
    },
    close: () => void child.kill('SIGKILL'),
  };
}
