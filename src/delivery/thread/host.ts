import { Worker } from 'node:worker_threads';
import type { Journal } from '../../journal/append.ts';
import { type Fault, messageOf, whereThrown } from '../../model/fault.ts';
import type { Group } from '../../model/group.ts';
import type { SignalBus } from '../../model/signal.ts';
import { within } from '../../model/wait.ts';
import type { ReadBack } from '../read-back.ts';
import type { DeliveryData, DeliveryRequest, FromThread, Question, ThreadData, ToThread } from './messages.ts';
import { beginThreadPool } from './priority.ts';
import { createQuestions } from './questions.ts';

export type Delivery = ReturnType<typeof startDelivery>;

/** Next to this file: TypeScript in a checkout, JavaScript in the published package. */
const THREAD = new URL(import.meta.url.endsWith('.ts') ? './entry.ts' : './entry.js', import.meta.url);
/** Batches are short-lived: a larger young generation would only keep more garbage around. */
const YOUNG_MB = 12;
const RESTART_MS = 1_000;
const STOP_MS = 3_000;
const WITHIN_MS = 5_000;
const NEVER = new AbortController().signal;

/** Starts the delivery thread, and restarts it whenever it ends by itself. */
export function startDelivery(data: DeliveryData, journal: Pick<Journal, 'settle' | 'keepCopy'>, signals: SignalBus) {
  /** 1 while an 'appended' is on its way and no lane has looked since: one message is enough. */
  const announced = new Int32Array(new SharedArrayBuffer(4));
  /** Requests not carried out yet; a restarted thread receives them again. */
  const unfinished = new Map<number, ToThread>();
  let { connectors } = data;
  let thread: Worker | undefined;
  let gone: Promise<void> = Promise.resolve();
  let restart: NodeJS.Timeout | undefined;
  let stopping = false;
  /** Why there is no thread just now. */
  let down: Fault | undefined;
  let lastId = 0;

  const tell = (message: ToThread): void => thread?.postMessage(message);
  const questions = createQuestions<Question>((question, id) => tell({ ...question, id }));

  const hear = (message: FromThread): void => {
    switch (message.kind) {
      case 'settled':
        journal.settle(message.report);
        break;
      case 'copy':
        journal.keepCopy(message.connector, message.state);
        break;
      case 'signal':
        signals.emit(message.name, message.payload);
        break;
      case 'done':
        unfinished.delete(message.id);
        break;
      case 'answered':
        questions.answered(message.id, message.answer);
        break;
      case 'ended':
        // Handles left open by an abandoned sink would keep the thread alive.
        void thread?.terminate();
    }
  };

  const start = (): void => {
    down = undefined;
    announced[0] = 0;
    const started = startThread({ ...data, connectors, announced });
    thread = started.worker;
    thread.on('message', hear);
    for (const message of unfinished.values()) tell(message);
    gone = started.exited.then((failure) => {
      thread = undefined;
      const why = messageOf(failure) + whereThrown(failure);
      down = { code: 'copy-unknown', message: `delivery does not run: ${why}` };
      questions.lost(down);
      if (stopping) return;
      // Nothing is lost: the cursors are in the journal, and a new thread continues from there.
      const fault = { code: 'internal', message: why } as const;
      signals.emit('relay.crashed', { fault, restartInMs: RESTART_MS });
      restart = setTimeout(start, RESTART_MS);
    });
  };
  beginThreadPool();
  start();

  return {
    /** There are new events in the journal. */
    wake(): void {
      if (thread !== undefined && Atomics.exchange(announced, 0, 1) === 0) tell({ kind: 'appended' });
    },
    /** Sends a request to a connector's lane; if the thread ends before it is carried out, the next thread receives it. */
    request(connector: string, request: DeliveryRequest): void {
      const message = { kind: 'request', id: ++lastId, connector, request } as const;
      unfinished.set(message.id, message);
      tell(message);
    },
    /** Makes these the enabled connectors, see createLanes. Resolves within a bounded time. One call at a time. */
    async exchange(next: typeof connectors, ending: readonly string[], beginning: readonly string[]): Promise<void> {
      connectors = next;
      // The next thread begins with them.
      if (thread === undefined) return;
      const begun = Object.entries(next).filter(([name]) => beginning.includes(name));
      // If the thread ends meanwhile, the next one begins with the new connectors.
      await questions.ask({ kind: 'exchange', ending, beginning: Object.fromEntries(begun) }, NEVER);
    },
    /** Compares a connector's copy of a group with this state. Always answers within seconds. */
    async readBack(connector: string, group: Group, signal: AbortSignal): Promise<ReadBack> {
      if (down !== undefined) return { fault: down };
      const question = { kind: 'read-back', connector, group, withinMs: WITHIN_MS } as const;
      return questions.ask(question, AbortSignal.any([signal, AbortSignal.timeout(WITHIN_MS)]));
    },
    /** Delivers what can be delivered within `ms`, then ends; resolves when the thread is gone. */
    async stop(ms: number): Promise<void> {
      stopping = true;
      clearTimeout(restart);
      tell({ kind: 'drain' });
      if (await within(ms, gone)) return;
      tell({ kind: 'stop' });
      if (await within(STOP_MS, gone)) return;
      await thread?.terminate();
    },
  };
}

/** `exited` resolves with the reason when the thread is gone. */
function startThread(workerData: ThreadData): { worker: Worker; exited: Promise<unknown> } {
  // A kafkajs that a user's connector loads sets timers in the past, of which Node 24 warns each time; Node 22 calls its
  // SQLite experimental.
  const quiet = ['--disable-warning=TimeoutNegativeWarning', '--disable-warning=ExperimentalWarning'];
  const worker = new Worker(THREAD, {
    workerData,
    execArgv: [...preloads(process.execArgv), ...quiet],
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
  });
  let failure: unknown = 'the thread ended';
  worker.on('error', (thrown) => {
    failure = thrown;
  });
  return { worker, exited: new Promise((resolve) => worker.once('exit', () => resolve(failure))) };
}

/** Returns what `node --import …` and the like preload: a tracing SDK must be present in both threads. */
export function preloads(execArgv: readonly string[]): string[] {
  return execArgv.flatMap((option, index) => {
    if (/^(--import|--require|-r)$/.test(option)) return [option, execArgv[index + 1] ?? ''];
    return /^(--import|--require)=/.test(option) ? [option] : [];
  });
}
