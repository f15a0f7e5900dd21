import { closeSync, fdatasync, fdatasyncSync, openSync } from 'node:fs';

/**
 * SQLite's write-ahead log, synced beside the thread that commits. A commit has appended to the log; what was committed
 * before `sync` was called is on disk once it resolves.
 */
export interface Log {
  /** Rejects when the disk refuses: nothing that waits for it may be called recorded. */
  sync(): Promise<void>;
  syncNow(): void;
  close(): void;
}

/** SQLite holds no lock on the log itself, so that closing another descriptor of it releases none. */
export function openLog(file: string): Log {
  let descriptor: number | undefined;
  // The log comes with the first write, and stays the same file for as long as the journal is open.
  const opened = (): number => {
    descriptor ??= openSync(`${file}-wal`, 'r+');
    return descriptor;
  };
  return {
    sync: () =>
      new Promise((resolve, reject) => {
        fdatasync(opened(), (error) => (error === null ? resolve() : reject(error)));
      }),
    syncNow: () => fdatasyncSync(opened()),
    close() {
      if (descriptor !== undefined) closeSync(descriptor);
      descriptor = undefined;
    },
  };
}
