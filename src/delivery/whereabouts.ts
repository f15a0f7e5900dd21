import type { Located, Sink } from '../../connectors/contract.ts';
import { type Fault, faultOf } from '../model/fault.ts';
import type { Group } from '../model/group.ts';
import type { Outcome } from '../model/outcome.ts';

/** What a lane can say of the copy of one group. */
export interface Whereabouts {
  /** What reading it back found; absent where the destination is not read back, or could not be. */
  readonly located?: Located;
  /** Where the group's last delivery went, as far as this lane remembers. */
  readonly receipt?: string;
  /** Why it cannot be told, or why nothing is delivered just now. */
  readonly fault?: Fault;
}

/** The questions of one lane that wait until its sink is free, and what it remembers for those whose sink reads nothing back. */
export interface LookUps {
  readonly waiting: number;
  /** Remembers where deliveries went; what was dead or is to be retried went nowhere. */
  remember(outcomes: Iterable<readonly [groupId: string, Outcome | undefined]>): void;
  /** Answers with what is remembered, at once. */
  recall(groupId: string, fault?: Fault): Whereabouts;
  /** Waits for `answer` or `refuse`. */
  ask(group: Group, signal: AbortSignal): Promise<Whereabouts>;
  /** Answers all that wait, one after the other. Never rejects. */
  answer(sink: Sink, signal: AbortSignal): Promise<void>;
  refuse(fault: Fault): void;
}

/** So many groups have their last receipt remembered, about 2 MB; in memory only, so not over a restart. */
const REMEMBERED = 10_000;
/** Of questions that wait. */
const MOST = 100;

interface Question {
  readonly group: Group;
  readonly signal: AbortSignal;
  resolve(answer: Whereabouts): void;
}

export function createLookUps(remembered = REMEMBERED): LookUps {
  const receipts = new Map<string, string>();
  let questions: Question[] = [];

  const recall = (groupId: string, fault?: Fault): Whereabouts => {
    const receipt = receipts.get(groupId);
    return { ...(receipt !== undefined && { receipt }), ...(fault !== undefined && { fault }) };
  };
  const take = (): Question[] => {
    const taken = questions;
    questions = [];
    return taken;
  };

  return {
    get waiting() {
      return questions.length;
    },
    remember(outcomes) {
      for (const [groupId, outcome] of outcomes) {
        if (outcome?.kind !== 'delivered' && outcome?.kind !== 'superseded') continue;
        // A Map keeps the order of insertion: the first is the one that was delivered longest ago.
        receipts.delete(groupId);
        receipts.set(groupId, outcome.receipt);
      }
      for (const groupId of receipts.keys()) {
        if (receipts.size <= remembered) break;
        receipts.delete(groupId);
      }
    },
    recall,
    ask(group, signal) {
      if (questions.length >= MOST) return Promise.resolve(recall(group.groupId, UNANSWERED));
      return new Promise((resolve) => questions.push({ group, signal, resolve }));
    },
    async answer(sink, stop) {
      for (const { group, signal, resolve } of take()) {
        if (sink.locate === undefined) resolve(recall(group.groupId));
        else if (signal.aborted) resolve({ fault: UNANSWERED });
        else {
          try {
            resolve({ located: await sink.locate(group, AbortSignal.any([signal, stop])) });
          } catch (thrown) {
            resolve({ fault: stop.aborted ? ENDED : signal.aborted ? UNANSWERED : faultOf(thrown, 'copy-unknown') });
          }
        }
      }
    },
    refuse(fault) {
      for (const { group, resolve } of take()) resolve(recall(group.groupId, fault));
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
