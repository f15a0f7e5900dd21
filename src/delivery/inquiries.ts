import type { Fault } from '../model/fault.ts';
import type { Group } from '../model/group.ts';
import { UNANSWERED, type Whereabouts } from './whereabouts.ts';

/** One question to a lane, as it goes to the relay's thread. */
export interface Inquiry {
  readonly id: number;
  readonly connector: string;
  readonly group: Group;
  /** How long the answer is waited for. */
  readonly withinMs: number;
}

/** Questions that wait for the relay's thread. Each is answered: by it, by its loss, by the time-out or by its signal. */
export interface Inquiries {
  ask(connector: string, group: Group, signal: AbortSignal): Promise<Whereabouts>;
  answered(id: number, answer: Whereabouts): void;
  /** The thread is gone: nothing that was asked is answered any more. */
  lost(fault: Fault): void;
}

const WITHIN_MS = 5_000;

export function createInquiries(post: (inquiry: Inquiry) => void, withinMs = WITHIN_MS): Inquiries {
  const open = new Map<number, (answer: Whereabouts) => void>();
  let last = 0;
  return {
    ask: (connector, group, signal) =>
      new Promise((resolve) => {
        const id = ++last;
        const settle = (answer: Whereabouts): void => {
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
        else post({ id, connector, group, withinMs });
      }),
    answered: (id, answer) => open.get(id)?.(answer),
    lost(fault) {
      for (const settle of [...open.values()]) settle({ fault });
    },
  };
}
