import type { DatabaseSync } from 'node:sqlite';
import { BridgeError, type Fault, messageOf } from '../canon/fault.ts';

/** Group commit: writes that gather within one turn of the event loop share one transaction, hence one fsync. */
export interface Committer {
  /** Runs `work` inside the next transaction; resolves with its result once that is on disk. Throws a BridgeError. */
  write<T>(work: () => T): Promise<T>;
  /** Runs `work` inside some transaction soon, with others' if there are any; kept and tried again while that fails. */
  later(work: () => void): void;
  /** Writes what is still there; then refuses more. */
  close(): void;
}

export interface CommitEvents {
  /** A transaction begins: what the works note now counts only once it is committed. */
  begun(): void;
  /** All works are done: the last writes before the commit. */
  finishing(): void;
  committed(writes: number, ms: number): void;
  /** Writes fail from now on, until `recovered`. */
  failed(fault: Fault): void;
  /** After a failure: a write as large as a callback succeeded. */
  recovered(): void;
}

interface Write {
  readonly work: () => unknown;
  resolve(result: unknown): void;
  reject(reason: BridgeError): void;
}

/** How late `later` may come. */
const LATER_MS = 100;
/** How often a journal that could not write is tried. */
const PROBE_MS = 1_000;
const PROBE_BYTES = 65_536;

export function createCommitter(connection: DatabaseSync, events: CommitEvents): Committer {
  const begin = connection.prepare('BEGIN IMMEDIATE');
  const commit = connection.prepare('COMMIT');
  const probe = connection.prepare('INSERT INTO probes (filling) VALUES (zeroblob(?))');
  const clean = connection.prepare('DELETE FROM probes');

  let writes: Write[] = [];
  let laters: (() => void)[] = [];
  let turn: NodeJS.Immediate | undefined;
  let soon: NodeJS.Timeout | undefined;
  let trouble: NodeJS.Timeout | undefined;
  let closed = false;

  /** All of `works` in one transaction, or none. */
  const transact = (works: readonly (() => unknown)[]): unknown[] => {
    events.begun();
    try {
      begin.run();
      const results = works.map((work) => work());
      events.finishing();
      commit.run();
      return results;
    } catch (thrown) {
      if (connection.isTransaction) connection.exec('ROLLBACK');
      throw thrown;
    }
  };

  const flush = (): void => {
    turn = undefined;
    clearTimeout(soon);
    soon = undefined;
    const taken = writes;
    const late = laters;
    writes = [];
    laters = [];
    if (taken.length === 0 && late.length === 0) return;
    const start = performance.now();
    let results: unknown[];
    try {
      results = transact([...taken.map(({ work }) => work), ...late]);
    } catch (thrown) {
      refuse(taken, thrown);
      if (late.length > 0 && !(taken.length > 0 && commitAlone(late))) keep(late);
      return;
    }
    taken.forEach(({ resolve }, index) => {
      resolve(results[index]);
    });
    events.committed(taken.length, performance.now() - start);
  };

  const refuse = (taken: readonly Write[], thrown: unknown): void => {
    const error = new BridgeError(
      {
        code: 'journal-unwritable',
        path: 'journal.file',
        message: 'the callback cannot be recorded',
        suggestion: `make room on the journal’s disk, or raise journal.maxBytes (${messageOf(thrown)})`,
      },
      thrown,
    );
    for (const { reject } of taken) reject(error);
    if (trouble !== undefined) return;
    trouble = setTimeout(tryAgain, PROBE_MS);
    events.failed(error.fault);
  };

  /** Cursors have room where new events have none, so they are tried without those; false when that fails, too. */
  const commitAlone = (late: readonly (() => void)[]): boolean => {
    try {
      transact(late);
    } catch {
      return false;
    }
    events.committed(0, 0);
    return true;
  };

  /** Nobody would bring these again. */
  const keep = (late: readonly (() => void)[]): void => {
    laters = [...late, ...laters];
    if (!closed) soon ??= setTimeout(flush, PROBE_MS);
  };

  const tryAgain = (): void => {
    trouble = setTimeout(tryAgain, PROBE_MS);
    try {
      transact([() => probe.run(PROBE_BYTES)]);
      transact([() => clean.run()]);
      settleTrouble();
    } catch {
      // still no room: the next try is set
    }
  };

  const settleTrouble = (): void => {
    clearTimeout(trouble);
    trouble = undefined;
    events.recovered();
  };

  return {
    write: <T>(work: () => T) =>
      new Promise<T>((resolve, reject) => {
        if (closed) {
          reject(new BridgeError({ code: 'stopping', message: 'the bridge is stopping' }));
          return;
        }
        writes.push({ work, resolve: (result) => resolve(result as T), reject });
        turn ??= setImmediate(flush);
      }),
    later(work) {
      laters.push(work);
      if (turn === undefined) soon ??= setTimeout(flush, LATER_MS);
    },
    close() {
      closed = true;
      clearImmediate(turn);
      flush();
      clearTimeout(soon);
      clearTimeout(trouble);
    },
  };
}
