import type { JournalReport } from '../journal/deliveries.ts';

/** Tracks replays that a person asked for. */
export function watchReplays() {
  const runs = new Map<string, { from: number; events: number; refused: Set<number>; waiting: Set<number> }>();
  return {
    begin: (connector: string, from: number, events: number): void =>
      void runs.set(connector, { from, events, refused: new Set(), waiting: new Set() }),
    settled({ connector, rewind, released, waiting, dead }: JournalReport): void {
      const run = runs.get(connector);
      if (run === undefined) return;
      // What was refused before the lane went back does not count.
      if (rewind) for (const some of [run.refused, run.waiting]) some.clear();
      for (const seq of released) for (const some of [run.refused, run.waiting]) some.delete(seq);
      const isOfRun = ({ seq }: { readonly seq: number }): boolean => seq >= run.from && seq < run.from + run.events;
      for (const { seq } of waiting.filter(isOfRun)) run.waiting.add(seq);
      for (const { seq } of dead.filter(isOfRun)) {
        run.waiting.delete(seq);
        run.refused.add(seq);
      }
    },
    /** The result of a connector's latest replay since the start; `waiting` counts what waits for a retry now. */
    of(connector: string) {
      const run = runs.get(connector);
      return run && { ...run, refused: run.refused.size, waiting: run.waiting.size };
    },
  };
}

interface Run {
  readonly open: Set<number>;
  delivered: number;
  refused: number;
  /** Each starts on the next ones once those open are settled. */
  readonly more: (() => void)[];
}

/** Tracks dead letters that a person retries until each is delivered or dead again. */
export function watchRetries() {
  const runs = new Map<string, Run>();
  const goOn = ({ open, more }: Run): void => {
    if (open.size > 0) return;
    // It stays there meanwhile, so that the retry is still under way.
    more[0]?.();
    more.shift();
  };
  return {
    /** Adds to the retry under way, if there is one; `more` starts on those left over. */
    begin(connector: string, seqs: readonly number[], more?: () => void): void {
      const running = runs.get(connector);
      const isUnderWay = running !== undefined && (running.open.size > 0 || running.more.length > 0);
      const run = isUnderWay ? running : { open: new Set<number>(), delivered: 0, refused: 0, more: [] };
      if (more !== undefined) run.more.push(more);
      for (const seq of seqs) run.open.add(seq);
      runs.set(connector, run);
    },
    settled({ connector, upTo, rewind, released, dead }: JournalReport): void {
      const run = runs.get(connector);
      if (run === undefined) return;
      // What a replay brings anew no longer counts as a retry.
      if (rewind) for (const seq of run.open) if (seq > upTo) run.open.delete(seq);
      for (const seq of released) if (run.open.delete(seq)) run.delivered++;
      for (const { seq } of dead) if (run.open.delete(seq)) run.refused++;
      goOn(run);
    },
    /** Entries discarded before their turn are not tried again. */
    discarded(connector: string, seqs: readonly number[]): void {
      const run = runs.get(connector);
      if (run === undefined) return;
      for (const seq of seqs) run.open.delete(seq);
      goOn(run);
    },
    /** The result of a connector's latest retry of dead letters since the start. */
    of(connector: string) {
      const run = runs.get(connector);
      if (run === undefined) return undefined;
      const { open, delivered, refused } = run;
      return { taken: open.size + delivered + refused, delivered, refused };
    },
  };
}
