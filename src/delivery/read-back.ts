import type { CopyStatus, Sink } from '../../connectors/contract.ts';
import { type Fault, faultOf } from '../model/fault.ts';
import type { Group } from '../model/group.ts';

/** What a lane found when it read the copy of one group back, or why it could not. */
export interface ReadBack {
  readonly copy?: CopyStatus;
  readonly fault?: Fault;
}

export type ReadBacks = ReturnType<typeof createReadBacks>;

/** How many questions may wait. */
const MOST = 100;

interface Question {
  readonly group: Group;
  readonly signal: AbortSignal;
  resolve(answer: ReadBack): void;
}

/** Questions for one lane, held until its sink is free. */
export function createReadBacks() {
  const questions: Question[] = [];

  const answerOne = async (sink: Sink, { group, signal }: Question, stop: AbortSignal): Promise<ReadBack> => {
    if (sink.holds === 'events' || sink.read === undefined) return {};
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
    /** Resolves on `answer` or `refuse`. */
    ask(group: Group, signal: AbortSignal): Promise<ReadBack> {
      if (questions.length >= MOST) return Promise.resolve({ fault: UNANSWERED });
      return new Promise((resolve) => questions.push({ group, signal, resolve }));
    },
    /** Answers all waiting questions in turn. Never rejects. */
    async answer(sink: Sink, stop: AbortSignal): Promise<void> {
      for (const question of questions.splice(0)) question.resolve(await answerOne(sink, question, stop));
    },
    refuse(fault: Fault): void {
      for (const { resolve } of questions.splice(0)) resolve({ fault });
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
