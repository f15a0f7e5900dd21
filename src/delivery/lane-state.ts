import type { LaneState } from '../model/signal.ts';

/*
 * A lane is in one of these states, which are also what people see:
 *
 * - connecting: it has no sink yet. Entered at the start, and by resuming a lane whose sink was never opened.
 * - running: it has a sink, and delivers or waits for something to deliver.
 * - waiting: the destination or the source as a whole is unavailable. No event is charged; after a delay the same entries
 *   are taken again, without end.
 * - paused: a person paused it, until a person resumes it.
 * - ended: the bridge stops, or the connector was removed or changed. Its next lane, if any, continues from there.
 */

type Kind = LaneState['kind'];

const NEXT: Readonly<Record<Kind, readonly Kind[]>> = {
  connecting: ['running', 'waiting', 'paused', 'ended'],
  running: ['waiting', 'paused', 'ended'],
  waiting: ['running', 'waiting', 'paused', 'ended'],
  paused: ['connecting', 'running', 'paused', 'ended'],
  ended: [],
};

/** Returns the state entered; throws on a transition that no lane may make. */
export function enter(from: LaneState, to: LaneState): LaneState {
  if (NEXT[from.kind].includes(to.kind)) return to;
  throw new Error(`a lane that is ${from.kind} cannot become ${to.kind}`);
}
