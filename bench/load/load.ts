import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { LoadOrder, LoadResult } from './order.ts';

export const CONNECTIONS = 64;
export const GROUPS = 2_000;

export type LoadSettings = Pick<LoadOrder, 'url' | 'ms'> & Partial<Omit<LoadOrder, 'run' | 'firstNumber'>>;

export interface LoadGenerator {
  readonly pid: number;
  /** The word that the Names of the next load will hold. */
  nextRun(): string;
  /** Runs one load to its end; one at a time. Rejects when nothing listens. */
  load(settings: LoadSettings): Promise<LoadResult>;
  close(): void;
}

type Answer = { readonly result: LoadResult } | { readonly failure: string };

/** A generator in a process of its own, which ends with this one. */
export function startLoadGenerator(): LoadGenerator {
  const child: ChildProcess = fork(fileURLToPath(new URL('main.ts', import.meta.url)), { stdio: 'inherit' });
  const word = process.pid.toString(36);
  const gone = once(child, 'exit').then(() => {
    throw new Error('the load generator has ended');
  });
  gone.catch(() => {});
  let loads = 0;
  return {
    get pid() {
      return child.pid ?? 0;
    },
    nextRun: () => `${word}-${loads + 1}`,
    async load(settings) {
      const order: LoadOrder = {
        connections: CONNECTIONS,
        groups: GROUPS,
        warmUpMs: 0,
        envelope: true,
        ...settings,
        run: `${word}-${++loads}`,
        firstNumber: 0,
      };
      child.send(order);
      const [answer] = (await Promise.race([once(child, 'message'), gone])) as [Answer];
      if ('failure' in answer) throw new Error(`no load on ${settings.url}: ${answer.failure}`);
      return answer.result;
    },
    close: () => void child.kill('SIGKILL'),
  };
}
