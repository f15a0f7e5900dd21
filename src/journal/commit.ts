import { BridgeError } from '../model/fault.ts';
import type { Database } from './database.ts';
import { createFailure, type Failure, type FailurePorts, type Write } from './failure.ts';
import type { GroupBuffer } from './groups.ts';
import { lockedFault } from './lock.ts';
import { isBusy } from './sqlite.ts';
import { createSyncQueue } from './sync.ts';

interface CommitPorts extends FailurePorts {
  /** Called after each commit; the result is called once the writes are on disk, with the time it took. */
  committed(writes: number): (ms: number) => void;
  /** May be written after a commit, in its own transaction, while the log is being synced: nobody waits for it. */
  readonly buffer: Pick<GroupBuffer, 'dueInMs' | 'step'>;
  flushed(): void;
}

export type Committer = ReturnType<typeof createCommitter>;

/** Group commit: writes that come in quick succession share a transaction, and transactions share syncs (sync.ts). */
export function createCommitter(database: Database, ports: CommitPorts) {
  const failure = createFailure(database, ports);
  const syncs = createSyncQueue(database, failure);
  let closed = false;
  const isClosed = (): boolean => closed;
  const writeBehind = createWriteBehind(ports, failure, isClosed);

  const commit = (): void => {
    const gathered = gathering.take();
    const { writes, deferred } = gathered;
    if (writes.length === 0 && deferred.length === 0) return;
    const blocked = failure.blocked();
    if (blocked !== undefined) {
      failure.refuse(writes, blocked.thrown);
      gathering.keep(deferred);
      return;
    }
    const start = performance.now();
    let results: unknown[];
    try {
      results = ports.transact(() => [...writes.map(({ work }) => work), ...deferred].map((work) => work()));
    } catch (thrown) {
      if (!isBusy(thrown) || !gathering.waitForLock(gathered)) refuse(gathered, thrown);
      return;
    }
    gathering.unlocked();
    const announce = ports.committed(writes.length);
    // Cursors alone may be lost in a power cut: that only repeats deliveries.
    if (writes.length > 0) syncs.add({ writes, results, start, announce });
    writeBehind();
  };
  const gathering = createGathering(commit, isClosed);

  const refuse = ({ writes, deferred }: Gathered, thrown: unknown): void => {
    gathering.unlocked();
    const isLocked = isBusy(thrown);
    const reason = isLocked ? lockedFault(database.file, thrown) : thrown;
    failure.refuse(writes, reason, isLocked ? 'lock' : undefined);
    gathering.keep(isLocked ? deferred : commitAlone(deferred));
  };

  /**
   * Cursors fit where new events do not, so they are tried alone, one at a time: each lets delivered events be pruned,
   * which makes room for the next. Returns those that are left.
   */
  const commitAlone = (deferred: Gathered['deferred']): Gathered['deferred'] => {
    const left = [...deferred];
    try {
      for (let [work] = left; work !== undefined; [work] = left) {
        ports.transact(work);
        ports.committed(0);
        left.shift();
      }
    } catch {
      // There is no room for this one either.
    }
    if (left.length < deferred.length) writeBehind();
    return left;
  };

  return {
    /** Runs `work` inside the next transaction; resolves with its result once that is on disk. Rejects with a BridgeError. */
    write: <T>(work: () => T) =>
      new Promise<T>((resolve, reject) => {
        if (closed) reject(new BridgeError({ code: 'stopping', message: 'the bridge is stopping' }));
        else gathering.add({ work, resolve: (result) => resolve(result as T), reject });
      }),
    /** Runs `work` inside a transaction soon, along with others; kept and tried again while that fails. */
    defer: gathering.defer,
    /** Declares the journal unable to record, until there is room. */
    refuse: (error: BridgeError): void => failure.refuse([], error),
    flush: () => writeBehind(true),
    /** Writes what is left, then refuses more. Returns false if the disk may have refused a part of the log. */
    close(): boolean {
      closed = true;
      commit();
      writeBehind(true);
      syncs.close();
      failure.close();
      return failure.blocked() === undefined;
    },
  };
}

interface Gathered {
  /** Somebody waits for these. */
  readonly writes: readonly Write[];
  /** May come late, but would not come a second time. */
  readonly deferred: readonly (() => void)[];
}

/**
 * A transaction and its sync cost as much as receiving several callbacks. So the next one begins this long after the
 * previous one, unless enough has gathered; after a quiet while, with the next turn of the event loop.
 */
const GATHER_MS = 5;
const ENOUGH = 8;
/** A lone writer that makes one write after the other gains nothing by waiting: so many writes then go at once. */
const LONE_WRITES = 32;

/** The longest that deferred work waits for a transaction. */
const DEFER_MS = 100;
const RETRY_MS = 1_000;
const LOCKED_STEP_MS = 25;
const LOCKED_MS = 1_000;

/** Gathers what to commit together, and calls `commit`, which takes it, when the time has come. */
function createGathering(commit: () => void, isClosed: () => boolean) {
  let writes: Write[] = [];
  let deferred: (() => void)[] = [];
  /** When the latest transaction began, and how many more writes go at once, see LONE_WRITES. */
  let last = Number.NEGATIVE_INFINITY;
  let loneWrites = 0;
  let next: { readonly at: number; readonly waits: boolean; readonly timer: Disposable } | undefined;
  /** Since when another program has had the journal locked. */
  let lockedSince: number | undefined;

  /** Commits at that time, or in this turn of the event loop if it has passed; an earlier appointment stands. */
  const commitAt = (at: number): void => {
    if (isClosed() || (next !== undefined && next.at <= at)) return;
    next?.timer[Symbol.dispose]();
    const ms = Math.ceil(at - performance.now());
    next = { at, waits: ms > 0, timer: ms > 0 ? setTimeout(commit, ms) : setImmediate(commit) };
  };
  const commitIn = (ms: number): void => commitAt(performance.now() + ms);
  return {
    add(write: Write): void {
      writes.push(write);
      if (lockedSince === undefined) commitAt(writes.length >= ENOUGH || loneWrites > 0 ? 0 : last + GATHER_MS);
    },
    defer(work: () => void): void {
      deferred.push(work);
      commitIn(DEFER_MS);
    },
    take(): Gathered {
      if (writes.length > 0) {
        last = performance.now();
        if (loneWrites > 0) loneWrites--;
        else if (next?.waits && writes.length <= 1) loneWrites = LONE_WRITES;
      }
      next?.timer[Symbol.dispose]();
      next = undefined;
      const gathered = { writes, deferred };
      writes = [];
      deferred = [];
      return gathered;
    },
    /** Takes deferred work back, to try it again after a while. */
    keep(late: Gathered['deferred']): void {
      if (late.length === 0) return;
      deferred = [...late, ...deferred];
      commitIn(RETRY_MS);
    },
    /** Takes everything back while another program has the journal locked, to try again soon; false after a second. */
    waitForLock(gathered: Gathered): boolean {
      lockedSince ??= performance.now();
      if (isClosed() || performance.now() - lockedSince > LOCKED_MS) return false;
      writes = [...gathered.writes, ...writes];
      deferred = [...gathered.deferred, ...deferred];
      commitIn(LOCKED_STEP_MS);
      return true;
    },
    /** The journal was not locked, or is no longer waited for. */
    unlocked(): void {
      lockedSince = undefined;
    },
  };
}

/** Returns what writes the buffer if that is due, or forced, and the journal is writable; else it sets a timer. */
function createWriteBehind({ buffer, flushed }: CommitPorts, failure: Failure, isClosed: () => boolean) {
  let timer: NodeJS.Timeout | undefined;
  const runIn = (ms: number): void => {
    if (!isClosed()) timer = setTimeout(run, ms);
  };
  const run = (force = false): void => {
    clearTimeout(timer);
    const dueInMs = buffer.dueInMs();
    if (dueInMs === undefined) return;
    const blocked = failure.blocked() !== undefined;
    if (blocked || (dueInMs > 0 && !force)) {
      runIn(blocked ? RETRY_MS : dueInMs);
      return;
    }
    let left: boolean;
    try {
      do left = buffer.step();
      while (left && force);
    } catch (thrown) {
      if (!isBusy(thrown)) failure.refuse([], thrown);
      runIn(RETRY_MS);
      return;
    }
    flushed();
    if (left) runIn(0);
  };
  return run;
}
