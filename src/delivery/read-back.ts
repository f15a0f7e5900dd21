import type { CopyStatus, Sink } from '../../connectors/contract.ts';
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
  /** Why it cannot be told, or why nothing is delivered just now. */
  readonly fault?: Fault;
}

export type ReadBacks = ReturnType<typeof createReadBacks>;

/** Groups whose last receipt is remembered, about 2 MB; in memory only, so not over a restart. */
const REMEMBERED = 10_000;
/** Questions that may wait. */
const MOST = 100;

interface Question {
  readonly group: Group;
  readonly signal: AbortSignal;
  resolve(answer: ReadBack): void;
}

/** The questions to one lane that wait until its sink is free, and what it remembers for those whose sink reads nothing back. */
export function createReadBacks(remembered = REMEMBERED) {
  const receipts = new Map<string, string>();
  const questions: Question[] = [];

  const recall = (groupId: string, fault?: Fault): ReadBack => {
    const receipt = receipts.get(groupId);
    return { ...(receipt !== undefined && { receipt }), ...(fault !== undefined && { fault }) };
  };

  const answerOne = async (sink: Sink, { group, signal }: Question, stop: AbortSignal): Promise<ReadBack> => {
    if (sink.holds === 'events' || sink.read === undefined) return recall(group.groupId);
    if (signal.aborted) return { fault: UNANSWERED };
    try {
      const copy = (await sink.read([group], AbortSignal.any([signal, stop]))).get(group.groupId);
      return copy === undefined ? { fault: UNANSWERED } : { copy };
    } catch (thrown) {
      return { fault: stop.aborted ? ENDED : signal.aborted ? UNANSWERED : faultOf(thrown, 'copy-unknown') };
    }
  };

  return {
    get waiting() {
      return questions.length;
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
      for (const oldest of receipts.keys()) {
        if (receipts.size <= remembered) break;
        receipts.delete(oldest);
      }
    },
    /** Answers with what is remembered, at once. */
    recall,
    /** Resolves on `answer` or `refuse`. */
    ask(group: Group, signal: AbortSignal): Promise<ReadBack> {
      if (questions.length >= MOST) return Promise.resolve(recall(group.groupId, UNANSWERED));
      return new Promise((resolve) => questions.push({ group, signal, resolve }));
    },
    /** Answers all that wait, one after the other. Never rejects. */
    async answer(sink: Sink, stop: AbortSignal): Promise<void> {
      for (const question of questions.splice(0)) question.resolve(await answerOne(sink, question, stop));
    },
    refuse(fault: Fault): void {
      for (const { group, resolve } of questions.splice(0)) resolve(recall(group.groupId, fault));
    },
  };
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
export const ENDED: Fault = { code: 'copy-unknown', message: 'the connector does not run any more' };
