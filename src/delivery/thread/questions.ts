import type { Fault } from '../../model/fault.ts';
import { orAborted } from '../../model/wait.ts';
import { type ReadBack, UNANSWERED } from '../read-back.ts';

/** Questions to the delivery thread. Each one is answered: by the thread, by its loss, or by the signal. */
export function createQuestions<Question>(post: (question: Question, id: number) => void) {
  const open = new Map<number, (answer: ReadBack) => void>();
  let last = 0;
  return {
    ask(question: Question, signal: AbortSignal): Promise<ReadBack> {
      const id = ++last;
      const { promise, resolve } = Promise.withResolvers<ReadBack>();
      open.set(id, resolve);
      post(question, id);
      return orAborted(signal, promise)
        .catch(() => ({ fault: UNANSWERED }))
        .finally(() => open.delete(id));
    },
    answered: (id: number, answer: ReadBack): void => open.get(id)?.(answer),
    /** The thread is gone: answers all open questions with this fault. */
    lost(fault: Fault): void {
      for (const resolve of open.values()) resolve({ fault });
    },
  };
}
