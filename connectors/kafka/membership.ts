import type { SourceHost } from '../contract.ts';
import { judge } from './fault.ts';
import { type Batch, isRebalance, isRejoined, joinGroup, type Member } from './member.ts';
import type { KafkaSourceOptions } from './options.ts';
import { type ClientOptions, clientOptions } from './options.ts';

/** How long work may go on after a rebalance began: the coordinator waits for its members for a minute. */
const GRACE_MS = 15_000;

/**
 * The consumer group as one connector of a worker is in it, over rebalances and losses. What Kafka hands over belongs to a
 * generation. When that ends, all of it is handed over again, here or elsewhere, from what the group has committed.
 */
export interface Membership {
  /** Joins the group where this worker is no member of it; resolves once the source has shown that it can be read. Throws Unreachable. */
  join(signal: AbortSignal): Promise<void>;
  /** Something went wrong with what was handed over: the generation ends. */
  troubled(thrown: unknown): void;
  /** Why the generation has ended; undefined while it goes on. */
  ended(): unknown;
  /** Begins a new generation after one that ended. */
  begin(): void;
  /** Rises with each generation. */
  generation(): number;
  /** Aborts when work on what was handed over must end. */
  lease(): AbortSignal;
  partitions(): readonly number[] | undefined;
  /** Commits what is settled; a failure ends the generation. Resolves with whether it succeeded. */
  commit(offsets: ReadonlyMap<number, bigint>): Promise<boolean>;
  leave(): Promise<void>;
}

interface Generation {
  readonly number: number;
  readonly lease: AbortController;
  ended: unknown;
}

export interface MembershipPorts {
  readonly host: Pick<SourceHost, 'interrupt' | 'assigned'>;
  /** The group is about to be joined. */
  entering(client: ClientOptions): Promise<void>;
  assigned(partitions: readonly number[]): void;
  take(batch: Batch): Promise<void>;
}

export function createMembership(
  options: KafkaSourceOptions,
  groupId: string,
  { host, entering, assigned: tell, take }: MembershipPorts,
): Membership {
  let member: Member | undefined;
  /** Why the group must be left and joined anew. */
  let lost: unknown;
  let partitions: readonly number[] | undefined;
  let current: Generation = { number: 0, lease: new AbortController(), ended: undefined };
  /** Why nothing may be taken; undefined once the group was joined, since when it reads from what is committed. */
  let closed: unknown = new Error('the group was not joined yet');

  const end = (why: unknown, graceMs: number): void => {
    closed = why;
    if (current.ended !== undefined) return;
    const { lease } = current;
    current.ended = why;
    if (graceMs === 0) lease.abort(why);
    else setTimeout(() => lease.abort(why), graceMs).unref();
    host.interrupt();
  };
  const troubled = (thrown: unknown): void => {
    if (!isRejoined(thrown)) lost ??= judge(thrown, { ...options, path: 'source', secure: undefined });
    end(thrown, isRebalance(thrown) ? GRACE_MS : 0);
  };
  const leave = async (): Promise<void> => {
    const left = member;
    member = undefined;
    partitions = undefined;
    await left?.leave();
  };

  const enter = async (signal: AbortSignal): Promise<void> => {
    const proven = Promise.withResolvers<void>();
    const client = await clientOptions(options, 'source', signal);
    const { sessionTimeoutMs } = options;
    await entering(client);
    const joined = await joinGroup(
      { ...client, groupId, sessionTimeoutMs },
      {
        assigned(ours) {
          if (partitions !== undefined) end(new Error('the partitions were shared out anew'), 0);
          partitions = ours;
          closed = undefined;
          host.assigned(ours);
          tell(ours);
          if (ours.length === 0) proven.resolve();
        },
        fetched: proven.resolve,
        async take(batch) {
          if (closed !== undefined || current.ended !== undefined) throw closed ?? current.ended;
          await take(batch);
        },
      },
    );
    member = joined;
    joined.failed.catch((thrown) => {
      if (member !== joined) return;
      partitions = undefined;
      troubled(thrown);
    });
    await Promise.race([proven.promise, joined.failed, rejection(signal)]);
  };

  return {
    async join(signal) {
      const reason = lost;
      lost = undefined;
      if (reason !== undefined) {
        await leave();
        throw reason;
      }
      if (member === undefined) await enter(signal);
    },
    troubled,
    ended: () => current.ended,
    begin() {
      const { number, lease, ended } = current;
      current = { number: number + 1, lease: new AbortController(), ended: undefined };
      lease.abort(ended);
    },
    generation: () => current.number,
    lease: () => current.lease.signal,
    partitions: () => partitions,
    async commit(offsets) {
      try {
        await member?.commit(offsets);
        return true;
      } catch (thrown) {
        // What was delivered is delivered again: here, or by whoever has the partitions now.
        troubled(thrown);
        return false;
      }
    },
    leave,
  };
}

function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
