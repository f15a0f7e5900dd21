import { BridgeError } from '../model/fault.ts';
import type { Database } from './database.ts';
import { createFailure, type Failure, type FailurePorts, type Write } from './failure.ts';
import type { GroupBuffer } from './groups.ts';
import { lockedFault } from './lock.ts';
import { isBusy } from './sqlite.ts';
import { createSyncQueue } from './sync.ts';

export interface CommitPorts extends FailurePorts {
  /** Called after each commit; what it returns is called when the writes are on disk, with the time it took. */
  committed(writes: number): (ms: number) => void;
  /** What may be written after a commit, in a transaction of its own, while the log is being synced: nobody waits for it. */
  readonly buffer: Pick<GroupBuffer, 'dueInMs' | 'step'>;
  flushed(): void;
}

export type Committer = ReturnType<typeof createCommitter>;

/** Group commit: writes that come soon after each other share a transaction, and transactions share syncs (sync.ts). */
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
    // Cursors alone may be lost at a power cut: they only repeat deliveries.
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
   * Cursors have room where new events have none, so they are tried without those, one at a time: after each, what is delivered
   * is pruned, which makes room for the next. Returns those that are left.
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
    /** Runs `work` inside the next transaction; resolves with its result once that is on disk. Throws a BridgeError. */
    write: <T>(work: () => T) =>
      new Promise<T>((resolve, reject) => {
        if (closed) reject(new BridgeError({ code: 'stopping', message: 'the bridge is stopping' }));
        else gathering.add({ work, resolve: (result) => resolve(result as T), reject });
      }),
    /** Runs `work` inside some transaction soon, with others' if there are any; kept and tried again while that fails. */
    defer: gathering.defer,
    /** Says that nothing can be recorded, until there is room. */
    refuse: (error: BridgeError): void => failure.refuse([], error),
    flush: () => writeBehind(true),
    /** Writes what is still there; then refuses more. Returns false when the disk may have refused a part of the log. */
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
  /** These may come late, but nobody would bring them again. */
  readonly deferred: readonly (() => void)[];
}

/**
 * A transaction and its sync cost as much as receiving several callbacks. So the next one begins so long after the one before,
 * unless enough has gathered; the first after a quiet while, with the turn of the event loop.
 */
const GATHER_MS = 5;
const ENOUGH = 8;
/** Where nothing else came meanwhile, whoever writes one thing after the other waits for nothing: so often it is let be. */
const LET_BE = 32;

/** The most that deferred work waits for a transaction. */
const DEFER_MS = 100;
const RETRY_MS = 1_000;
const LOCKED_STEP_MS = 25;
const LOCKED_MS = 1_000;

/** Gathers what is to be committed together, and says when: `commit` is to take it. */
function createGathering(commit: () => void, isClosed: () => boolean) {
  let writes: Write[] = [];
  let deferred: (() => void)[] = [];
  /** When the latest transaction began, and how many more are let be, see LET_BE. */
  let last = Number.NEGATIVE_INFINITY;
  let letBe = 0;
  let next: { readonly at: number; readonly waits: boolean; readonly timer: Disposable } | undefined;
  /** When the lock was met that is waited for. */
  let lockedSince: number | undefined;

  /** Commits then, or with this turn of the event loop; not where an earlier time is set already. */
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
      if (lockedSince === undefined) commitAt(writes.length >= ENOUGH || letBe > 0 ? 0 : last + GATHER_MS);
    },
    defer(work: () => void): void {
      deferred.push(work);
      commitIn(DEFER_MS);
    },
    take(): Gathered {
      if (writes.length > 0) {
        last = performance.now();
        if (letBe > 0) letBe--;
        else if (next?.waits && writes.length <= 1) letBe = LET_BE;
      }
      next?.timer[Symbol.dispose]();
      next = undefined;
      const gathered = { writes, deferred };
      writes = [];
      deferred = [];
      return gathered;
    },
    /** Takes deferred work back, and tries again after a while. */
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
    /** The journal was not locked, or is not waited for any longer. */
    unlocked(): void {
      lockedSince = undefined;
    },
  };
}

/** Returns what writes the buffer when that is due, or forced, and the journal can be written; else it sets a timer. */
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
