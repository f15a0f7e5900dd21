import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Restoring } from '../../../connectors/contract.ts';
import type { Settlement } from '../../journal/deliveries.ts';
import { type Fault, messageOf } from '../../model/fault.ts';
import type { Group } from '../../model/group.ts';
import type { SignalBus } from '../../model/signal.ts';
import { createInquiries } from '../inquiries.ts';
import type { Whereabouts } from '../whereabouts.ts';
import type { FromRelay, RelayData, ToRelay, WorkerData } from './entry.ts';
import { beginThreadPool } from './priority.ts';

/** The relay as the main thread sees it. */
export interface Relay {
  /** There are new events in the journal. */
  wake(): void;
  pause(connector: string): void;
  resume(connector: string): void;
  /** The lane goes back to the event behind `cursor`. */
  replay(connector: string, cursor: number): void;
  /** Merged groups of the journal, all or those named, are brought to the destination. */
  restore(connector: string, how: Restoring, groupIds?: readonly string[]): void;
  /** Dead letters, by seq, are tried again. */
  retry(connector: string, seqs: readonly number[]): void;
  /**
   * These are the enabled connectors from now on: lanes of `ending` end, those of `beginning` begin, from where the lane
   * before left off if there was one. Resolves when that is done, within a bounded time. One call at a time.
   */
  exchange(connectors: RelayData['connectors'], ending: readonly string[], beginning: readonly string[]): Promise<void>;
  /** Where a connector's copy of a group lies, compared with this state. Always answers, after seconds at most. */
  locate(connector: string, group: Group, signal: AbortSignal): Promise<Whereabouts>;
  /** Delivers what can be delivered within `ms`, then ends; resolves when the thread is gone. */
  stop(ms: number): Promise<void>;
}

/** Beside this file: the source in a checkout, JavaScript in the published package. */
const WORKER = new URL(import.meta.url.endsWith('.ts') ? './entry.ts' : './entry.js', import.meta.url);
/** Batches are short-lived: a larger young generation would only keep more garbage around. */
const YOUNG_MB = 24;
const RESTART_MS = 1_000;
const STOP_MS = 3_000;

export function startRelay(data: RelayData, settle: (settlement: Settlement) => void, signals: SignalBus): Relay {
  let worker: Worker;
  let stopping = false;
  /** 1 while the thread has a message that there are new events, and has not looked at it: one is enough. */
  const announced = new Int32Array(new SharedArrayBuffer(4));
  let restart: NodeJS.Timeout | undefined;
  let gone: Promise<void>;
  let { connectors } = data;
  let running = false;
  let exchanges = 0;
  const exchanged = new Map<number, () => void>();
  /** Why there is no thread just now. */
  let down: Fault | undefined;

  const tell = (message: ToRelay): void => worker.postMessage(message);
  const inquiries = createInquiries((inquiry) => tell({ kind: 'locate', ...inquiry }));

  const start = (): void => {
    down = undefined;
    // kafkajs sets timers in the past, harmlessly, and Node 24 would say so each time; Node 22 calls its SQLite experimental.
    const quiet = ['--disable-warning=TimeoutNegativeWarning', '--disable-warning=ExperimentalWarning'];
    announced[0] = 0;
    const workerData: WorkerData = { ...data, connectors, announced };
    worker = new Worker(WORKER, {
      workerData,
      execArgv: [...preloads(process.execArgv), ...quiet],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    });
    running = true;
    worker.on('message', (message: FromRelay) => {
      if (message.kind === 'settled') settle(message.settlement);
      else if (message.kind === 'signal') signals.emit(message.name, message.payload);
      else if (message.kind === 'exchanged') exchanged.get(message.id)?.();
      else if (message.kind === 'located') inquiries.answered(message.id, message.answer);
      // What a sink that was given up has left open would keep the thread.
      else if (message.kind === 'ended') void worker.terminate();
    });
    let failure: unknown = 'the thread ended';
    worker.on('error', (thrown) => {
      failure = thrown;
    });
    gone = new Promise((resolve) => {
      worker.once('exit', () => {
        running = false;
        resolve();
        down = { code: 'copy-unknown', message: `the relay does not run: ${messageOf(failure)}` };
        inquiries.lost(down);
        if (stopping) return;
        // Nothing is lost: the cursors stand in the journal, and a new thread goes on from there.
        signals.emit('relay.crashed', {
          fault: { code: 'internal', message: messageOf(failure) },
          restartInMs: RESTART_MS,
        });
        restart = setTimeout(start, RESTART_MS);
      });
    });
  };
  beginThreadPool();
  start();

  return {
    wake() {
      if (Atomics.exchange(announced, 0, 1) === 0) tell({ kind: 'appended' });
    },
    pause: (connector) => tell({ kind: 'pause', connector }),
    resume: (connector) => tell({ kind: 'resume', connector }),
    replay: (connector, cursor) => tell({ kind: 'replay', connector, cursor }),
    restore: (connector, how, groupIds) => tell({ kind: 'restore', connector, how, groupIds }),
    retry: (connector, seqs) => tell({ kind: 'retry', connector, seqs }),
    async exchange(next, ending, beginning) {
      connectors = next;
      // A thread that is not there yet begins with them.
      if (!running) return;
      const id = exchanges++;
      const done = new Promise<void>((resolve) => exchanged.set(id, resolve));
      const begun = Object.entries(next).filter(([name]) => beginning.includes(name));
      tell({ kind: 'exchange', id, ending, beginning: Object.fromEntries(begun) });
      // A thread that ends meanwhile has no lanes any more, and the next one begins with the new ones.
      await Promise.race([done, gone]);
      exchanged.delete(id);
    },
    locate: (connector, group, signal) =>
      down === undefined ? inquiries.ask(connector, group, signal) : Promise.resolve({ fault: down }),
    async stop(ms) {
      stopping = true;
      clearTimeout(restart);
      tell({ kind: 'drain' });
      if (await within(gone, ms)) return;
      tell({ kind: 'stop' });
      if (await within(gone, STOP_MS)) return;
      await worker.terminate();
    },
  };
}

/** What `node --import …` and its like load first: an SDK for tracing is to be there in both threads. */
export function preloads(execArgv: readonly string[]): string[] {
  return execArgv.flatMap((option, index) => {
    if (/^(--import|--require|-r)$/.test(option)) return [option, execArgv[index + 1] ?? ''];
    return /^(--import|--require)=/.test(option) ? [option] : [];
  });
}

async function within(work: Promise<unknown>, ms: number): Promise<boolean> {
  const timer = new AbortController();
  try {
    return await Promise.race([work.then(() => true), delay(ms, false, { signal: timer.signal })]);
  } finally {
    timer.abort();
  }
}
