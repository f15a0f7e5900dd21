import { BridgeError, type Fault } from '../model/fault.ts';
import { createCheckpointer } from './checkpoint.ts';
import type { Database } from './database.ts';
import { createFailure } from './failure.ts';
import { createGathering, type Gathered, type Work } from './gather.ts';
import { isBusy, lockedFault } from './lock.ts';
import { createSyncQueue } from './sync-queue.ts';
import { createWriteBehind, type WriteBehindBuffer } from './write-behind.ts';

/**
 * Group commit: writes that gather within one turn of the event loop share one transaction, and transactions share syncs of
 * the log (see sync-queue.ts). The thread goes on meanwhile.
 */
export interface Committer {
  /** Runs `work` inside the next transaction; resolves with its result once that is on disk. Throws a BridgeError. */
  write<T>(work: () => T): Promise<T>;
  /** Runs `work` inside some transaction soon, with others' if there are any; kept and tried again while that fails. */
  defer(work: () => void): void;
  /** Writes the write-behind buffer now, if it can be written. */
  flush(): void;
  /** Writes what is still there; then refuses more. Returns false when the disk may have refused a part of the log. */
  close(): boolean;
}

export interface CommitPorts {
  /** Runs `work` in one transaction: all of it or nothing. */
  transact<T>(work: () => T): T;
  /** Called after each commit; what it returns is called when the writes are on disk, with the time it took. */
  committed(writes: number): (ms: number) => void;
  /** Writes fail from now on, until `recovered`. */
  failed(fault: Fault): void;
  /** After a failure, a write as large as a callback succeeded. */
  recovered(): void;
  readonly buffer: WriteBehindBuffer;
  /** The write-behind buffer is written. */
  flushed(): void;
}

export function createCommitter(database: Database, ports: CommitPorts): Committer {
  const checkpointer = createCheckpointer(database);
  const failure = createFailure(database, checkpointer, ports);
  const syncs = createSyncQueue(database, checkpointer, failure);
  const writeBehind = createWriteBehind(ports.buffer, {
    blocked: () => failure.blocked() !== undefined,
    flushed: ports.flushed,
    failed: (thrown) => {
      if (!isBusy(thrown)) failure.refuse([], thrown);
    },
  });
  let closed = false;

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
    writeBehind.run();
  };
  const gathering = createGathering(commit);

  const refuse = ({ writes, deferred }: Gathered, thrown: unknown): void => {
    gathering.unlocked();
    if (isBusy(thrown)) {
      const fault = lockedFault(database.file, thrown);
      failure.block('lock', fault);
      failure.refuse(writes, fault);
      gathering.keep(deferred);
      return;
    }
    failure.refuse(writes, thrown);
    if (deferred.length > 0 && !(writes.length > 0 && commitAlone(deferred))) gathering.keep(deferred);
  };

  /** Cursors have room where new events have none, so they are tried without those; false when that fails, too. */
  const commitAlone = (deferred: readonly Work[]): boolean => {
    try {
      ports.transact(() => deferred.map((work) => work()));
    } catch {
      return false;
    }
    ports.committed(0);
    writeBehind.run();
    return true;
  };

  return {
    write: <T>(work: () => T) =>
      new Promise<T>((resolve, reject) => {
        if (closed) reject(new BridgeError({ code: 'stopping', message: 'the bridge is stopping' }));
        else gathering.add({ work, resolve: (result) => resolve(result as T), reject });
      }),
    defer: gathering.defer,
    flush: writeBehind.flush,
    close() {
      closed = true;
      gathering.close();
      commit();
      writeBehind.close();
      syncs.close();
      failure.close();
      return failure.blocked() === undefined;
    },
  };
}
