import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Restoring } from '../../connectors/contract.ts';
import { messageOf } from '../canon/fault.ts';
import type { SignalBus } from '../canon/signal.ts';
import type { Settlement } from '../journal/deliveries.ts';
import type { FromRelay, RelayData, ToRelay } from './worker.ts';

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
  /** Delivers what can be delivered within `ms`, then ends; resolves when the thread is gone. */
  stop(ms: number): Promise<void>;
}

/** Beside this file: the source in a checkout, JavaScript in the published package. */
const WORKER = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);
/** Batches are short-lived: a larger young generation would only keep more garbage around. */
const YOUNG_MB = 24;
const RESTART_MS = 1_000;
const STOP_MS = 3_000;

export function startRelay(data: RelayData, settle: (settlement: Settlement) => void, signals: SignalBus): Relay {
  let worker: Worker;
  let stopping = false;
  let announced = false;
  let restart: NodeJS.Timeout | undefined;
  let gone: Promise<void>;

  const tell = (message: ToRelay): void => worker.postMessage(message);

  const start = (): void => {
    // kafkajs sets timers in the past, harmlessly, and Node 24 would say so each time; Node 22 calls its SQLite experimental.
    worker = new Worker(WORKER, {
      workerData: data,
      execArgv: ['--disable-warning=TimeoutNegativeWarning', '--disable-warning=ExperimentalWarning'],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    });
    worker.on('message', (message: FromRelay) => {
      if (message.kind === 'settled') settle(message.settlement);
      else if (message.kind === 'signal') signals.emit(message.name, message.payload);
    });
    let failure: unknown = 'the thread ended';
    worker.on('error', (thrown) => {
      failure = thrown;
    });
    gone = new Promise((resolve) => {
      worker.once('exit', () => {
        resolve();
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
  start();

  return {
    wake() {
      // One message a turn is enough, however many commits it brought.
      if (announced) return;
      announced = true;
      setImmediate(() => {
        announced = false;
        tell({ kind: 'appended' });
      });
    },
    pause: (connector) => tell({ kind: 'pause', connector }),
    resume: (connector) => tell({ kind: 'resume', connector }),
    replay: (connector, cursor) => tell({ kind: 'replay', connector, cursor }),
    restore: (connector, how, groupIds) => tell({ kind: 'restore', connector, how, groupIds }),
    retry: (connector, seqs) => tell({ kind: 'retry', connector, seqs }),
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

async function within(work: Promise<unknown>, ms: number): Promise<boolean> {
  const timer = new AbortController();
  try {
    return await Promise.race([work.then(() => true), delay(ms, false, { signal: timer.signal })]);
  } finally {
    timer.abort();
  }
}
