import type { CopyStatus, Outcomes, Sink } from '../../connectors/contract.ts';
import type { Entry } from '../model/entry.ts';
import { type Fault, faultOf } from '../model/fault.ts';
import type { Group } from '../model/group.ts';
import type { Outcome } from '../model/outcome.ts';

/** What a lane can say of the copy of one group. */
export interface ReadBack {
  /** What reading it back found; absent where the destination is not read back, or could not be. */
  readonly copy?: CopyStatus;
  /** Where the group's last delivery went, as far as this lane remembers. */
  readonly receipt?: string;
  /** The delivery of the event that was asked for, as far as this lane remembers. */
  readonly event?: EventReceipt;
  /** Why it cannot be told, or why nothing is delivered just now. */
  readonly fault?: Fault;
}

/** When and where an event was delivered, and the attempts that it took. */
export interface EventReceipt {
  readonly kind: 'delivered' | 'superseded';
  readonly receipt: string;
  /** Milliseconds since 1970; only what is remembered says when, and after how many attempts. */
  readonly at?: number;
  readonly attempts?: number;
}

/** A group, whose copy is compared with this state of it; or an event, by its id. */
export type Asked = Group | string;

export type ReadBacks = ReturnType<typeof createReadBacks>;

/** Groups, and events, whose last receipt is remembered, about 2 MB each; in memory only, so not over a restart. */
const REMEMBERED = 10_000;
/** Questions that may wait. */
const MOST = 100;

interface Question {
  readonly about: Asked;
  readonly signal: AbortSignal;
  resolve(answer: ReadBack): void;
}

/** The questions to one lane that wait until its sink is free, and what it remembers for those whose sink reads nothing back. */
export function createReadBacks(remembered = REMEMBERED) {
  const receipts = new Map<string, string>();
  const events = new Map<string, EventReceipt>();
  const questions: Question[] = [];

  const recall = (about: Asked, fault?: Fault): ReadBack => {
    const why = fault !== undefined && { fault };
    if (typeof about === 'string') {
      const event = events.get(about);
      return { ...(event !== undefined && { event }), ...why };
    }
    const receipt = receipts.get(about.groupId);
    return { ...(receipt !== undefined && { receipt }), ...why };
  };

  const answerOne = async (sink: Sink, { about, signal }: Question, stop: AbortSignal): Promise<ReadBack> => {
    if (!isToldBy(sink, about)) return recall(about);
    if (signal.aborted) return { fault: UNANSWERED };
    try {
      return await askSink(sink, about, AbortSignal.any([signal, stop]));
    } catch (thrown) {
      return { fault: stop.aborted ? ENDED : signal.aborted ? UNANSWERED : faultOf(thrown, 'copy-unknown') };
    }
  };

  return {
    get waiting() {
      return questions.length;
    },
    /** Remembers where and when events went. */
    note(entries: readonly Entry[], outcomes: Outcomes, at: number, attemptsOf: (entry: Entry) => number): void {
      for (const entry of entries.slice(-remembered)) {
        const outcome = outcomes.get(entry.id);
        if (outcome?.kind !== 'delivered' && outcome?.kind !== 'superseded') continue;
        const { kind, receipt } = outcome;
        events.delete(entry.id);
        events.set(entry.id, { kind, receipt, at, attempts: attemptsOf(entry) });
      }
      forgetOldest(events, remembered);
    },
    /** Remembers where deliveries went; what was dead or is to be retried went nowhere. */
    remember(entries: readonly Entry[], outcomeOf: (entry: Entry) => Outcome | undefined): void {
      for (const entry of entries) {
        const outcome = outcomeOf(entry);
        if (outcome?.kind !== 'delivered' && outcome?.kind !== 'superseded') continue;
        // A Map keeps the order of insertion: the first is the one that was delivered longest ago.
        receipts.delete(entry.groupId);
        receipts.set(entry.groupId, outcome.receipt);
      }
      forgetOldest(receipts, remembered);
    },
    /** Answers with what is remembered, at once. */
    recall,
    /** Resolves on `answer` or `refuse`. */
    ask(about: Asked, signal: AbortSignal): Promise<ReadBack> {
      if (questions.length >= MOST) return Promise.resolve(recall(about, UNANSWERED));
      return new Promise((resolve) => questions.push({ about, signal, resolve }));
    },
    /** Answers all that wait, one after the other. Never rejects. */
    async answer(sink: Sink, stop: AbortSignal): Promise<void> {
      for (const question of questions.splice(0)) question.resolve(await answerOne(sink, question, stop));
    },
    refuse(fault: Fault): void {
      for (const { about, resolve } of questions.splice(0)) resolve(recall(about, fault));
    },
  };
}

/** Whether the destination itself can be asked. */
export function isToldBy(sink: Sink, about: Asked): boolean {
  return sink.holds === 'events' ? typeof about === 'string' && sink.find !== undefined : sink.read !== undefined;
}

/** Throws what the sink throws. */
async function askSink(sink: Sink, about: Asked, signal: AbortSignal): Promise<ReadBack> {
  if (typeof about !== 'string') {
    const copy = sink.holds === 'groups' ? (await sink.read?.([about], signal))?.get(about.groupId) : undefined;
    return copy === undefined ? { fault: UNANSWERED } : { copy };
  }
  const receipt = sink.holds === 'events' ? (await sink.find?.([about], signal))?.get(about) : undefined;
  return receipt === undefined ? {} : { event: { kind: 'delivered', receipt } };
}

function forgetOldest(map: Map<string, unknown>, most: number): void {
  for (const key of map.keys()) {
    if (map.size <= most) break;
    map.delete(key);
  }
}

export const UNANSWERED: Fault = {
  code: 'copy-unknown',
  message: 'the connector did not answer in time',
  suggestion: 'it may be busy with a slow delivery: ask again',
};
export const UNOPENED: Fault = {
  code: 'copy-unknown',
  message: 'the connector has been paused since the bridge started, so that its destination was never opened',
  suggestion: 'resume it',
};
export const PAUSED: Fault = {
  code: 'copy-unknown',
  message: 'the connector is paused',
  suggestion: 'resume it',
};
export const ENDED: Fault = { code: 'copy-unknown', message: 'the connector does not run any more' };
