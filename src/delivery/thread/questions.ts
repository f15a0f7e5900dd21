import type { Fault } from '../../model/fault.ts';
import type { Group } from '../../model/group.ts';
import { type ReadBack, UNANSWERED } from '../read-back.ts';

/** One question to a lane, as it goes to the delivery thread. */
export interface Question {
  readonly id: number;
  readonly connector: string;
  /** The group that is read back. */
  readonly about: Group;
  /** How long the answer is waited for. */
  readonly withinMs: number;
}

const WITHIN_MS = 5_000;

/** Questions that wait for the delivery thread. Each is answered: by it, by its loss, by the time-out or by its signal. */
export function createQuestions(post: (question: Question) => void, withinMs = WITHIN_MS) {
  const open = new Map<number, (answer: ReadBack) => void>();
  let last = 0;
  return {
    ask: (connector: string, about: Group, signal: AbortSignal): Promise<ReadBack> =>
      new Promise((resolve) => {
        const id = ++last;
        const settle = (answer: ReadBack): void => {
          clearTimeout(timer);
          signal.removeEventListener('abort', giveUp);
          open.delete(id);
          resolve(answer);
        };
        const giveUp = () => settle({ fault: UNANSWERED });
        const timer = setTimeout(giveUp, withinMs);
        signal.addEventListener('abort', giveUp);
        open.set(id, settle);
        if (signal.aborted) giveUp();
        else post({ id, connector, about, withinMs });
      }),
    answered: (id: number, answer: ReadBack): void => open.get(id)?.(answer),
    /** The thread is gone: nothing that was asked is answered any more. */
    lost(fault: Fault): void {
      for (const settle of [...open.values()]) settle({ fault });
    },
  };
}
