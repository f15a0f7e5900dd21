import type { Waiting } from '../../connectors/contract.ts';

export type WaitingEntries = ReturnType<typeof createWaitingEntries>;

/**
 * The entries of one lane that wait for a retry, by group and in order. A waiting entry holds back its own group only: of
 * each group just the first is retried, or the run of entries that merely waited for an earlier one.
 */
export function createWaitingEntries() {
  const queues = new Map<string, Waiting[]>();
  let size = 0;
  const placeOf = (queue: readonly Waiting[], { entry }: Waiting): number =>
    queue.findIndex((other) => other.entry.seq === entry.seq);

  return {
    get size() {
      return size;
    },
    /** Whether an entry of this group waits, so that later ones must, too. */
    holdsBack: (groupId: string): boolean => queues.has(groupId),
    /** Takes an entry in; one that waits already stays as it is. */
    hold(waiting: Waiting): void {
      const { seq, groupId } = waiting.entry;
      const queue = queues.get(groupId) ?? [];
      if (seq <= (queue.at(-1)?.entry.seq ?? -1) && placeOf(queue, waiting) >= 0) return;
      // Many may wait for a long time.
      waiting.entry.release?.();
      // Usually at the end; a retried dead letter may be older than others of its group.
      queue.splice(queue.findLastIndex(({ entry }) => entry.seq < seq) + 1, 0, waiting);
      queues.set(groupId, queue);
      size++;
    },
    /** Replaces what is known of an entry after one more attempt failed. */
    update(waiting: Waiting): void {
      const queue = queues.get(waiting.entry.groupId) ?? [];
      queue[placeOf(queue, waiting)] = waiting;
      waiting.entry.release?.();
    },
    /** Forgets an entry that is delivered or dead. */
    release(waiting: Waiting): void {
      const { groupId } = waiting.entry;
      const queue = queues.get(groupId) ?? [];
      queue.splice(placeOf(queue, waiting), 1);
      size--;
      if (queue.length === 0) queues.delete(groupId);
    },
    /** Forgets the entries after this seq; without one, all of them. */
    forgetAfter(seq = Number.NEGATIVE_INFINITY): void {
      for (const [groupId, queue] of queues) {
        const kept = queue.filter(({ entry }) => entry.seq <= seq);
        size -= queue.length - kept.length;
        if (kept.length === 0) queues.delete(groupId);
        else queues.set(groupId, kept);
      }
    },
    due(now: number, limit: number): Waiting[] {
      const found: Waiting[] = [];
      for (const queue of queues.values()) {
        const [head] = queue;
        if (head === undefined || head.dueAt > now) continue;
        const tried = queue.findIndex(({ attempts }) => attempts > 0);
        const run = tried < 0 ? queue.length : Math.max(tried, 1);
        found.push(...queue.slice(0, Math.min(run, limit - found.length)));
        if (found.length >= limit) break;
      }
      return found;
    },
    /** Returns when the next one is due; Infinity when nothing waits. */
    nextDue(): number {
      let next = Number.POSITIVE_INFINITY;
      for (const [head] of queues.values()) next = Math.min(next, head?.dueAt ?? next);
      return next;
    },
    all: (): Waiting[] => [...queues.values()].flat(),
  };
}
