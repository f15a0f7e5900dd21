import type { Waiting } from '../journal/deliveries.ts';

/**
 * The events of one lane that wait for their retry, by group and in journal order. An event that waits holds back its own
 * group only: of each group just the first is tried again, or the run of those that only waited behind another.
 */
export interface WaitingEvents {
  readonly size: number;
  /** Whether an event of this group waits, so that later ones of it must wait, too. */
  holdsBack(groupId: string): boolean;
  /** Takes an event in; one that waits already stays as it is. */
  hold(entry: Waiting): void;
  /** After one more attempt failed. */
  update(entry: Waiting): void;
  /** Delivered or dead. */
  release(entry: Waiting): void;
  /** Forgets what lies behind this seq. */
  forgetBehind(seq: number): void;
  /** At most `limit` events that may be tried at `now`. */
  due(now: number, limit: number): Waiting[];
  /** When the next one is due, in ms since 1970; Infinity when nothing waits. */
  nextDue(): number;
  all(): Waiting[];
}

export function createWaitingEvents(): WaitingEvents {
  const queues = new Map<string, Waiting[]>();
  let size = 0;

  return {
    get size() {
      return size;
    },
    holdsBack: (groupId) => queues.has(groupId),
    hold(entry) {
      const queue = queues.get(entry.event.subject) ?? [];
      if (queue.some(({ seq }) => seq === entry.seq)) return;
      // Mostly at the end; a dead letter that is tried again may be older than others of its group.
      queue.splice(queue.findLastIndex(({ seq }) => seq < entry.seq) + 1, 0, entry);
      queues.set(entry.event.subject, queue);
      size++;
    },
    update(entry) {
      const queue = queues.get(entry.event.subject) ?? [];
      queue[queue.findIndex(({ seq }) => seq === entry.seq)] = entry;
    },
    release(entry) {
      const queue = queues.get(entry.event.subject) ?? [];
      queue.splice(
        queue.findIndex(({ seq }) => seq === entry.seq),
        1,
      );
      size--;
      if (queue.length === 0) queues.delete(entry.event.subject);
    },
    forgetBehind(last) {
      for (const [groupId, queue] of queues) {
        const kept = queue.filter(({ seq }) => seq <= last);
        size -= queue.length - kept.length;
        if (kept.length === 0) queues.delete(groupId);
        else queues.set(groupId, kept);
      }
    },
    due(now, limit) {
      const found: Waiting[] = [];
      for (const queue of queues.values()) {
        const [head] = queue;
        if (head === undefined || head.dueAt > now) continue;
        const tried = queue.findIndex(({ attempts }) => attempts > 0);
        const run = head.attempts > 0 ? 1 : tried < 0 ? queue.length : tried;
        found.push(...queue.slice(0, Math.min(run, limit - found.length)));
        if (found.length >= limit) break;
      }
      return found;
    },
    nextDue() {
      let next = Number.POSITIVE_INFINITY;
      for (const [head] of queues.values()) next = Math.min(next, head?.dueAt ?? next);
      return next;
    },
    all: () => [...queues.values()].flat(),
  };
}
