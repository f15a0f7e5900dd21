/** What may be written after a commit, in a transaction of its own, while the log is being synced: nobody waits for it. */
export interface WriteBehindBuffer {
  /** Returns after how many milliseconds it is to be written; undefined when there is nothing to write. */
  dueInMs(): number | undefined;
  /** Writes it in one transaction. */
  flush(): void;
}

export interface WriteBehind {
  /** Writes the buffer when that is due, else sets a timer for it. */
  run(): void;
  /** Writes the buffer now, if it can be written. */
  flush(): void;
  /** Flushes; then sets no timer any more. */
  close(): void;
}

export interface WriteBehindPorts {
  /** Whether nothing can be written now, see commit.ts. */
  blocked(): boolean;
  flushed(): void;
  failed(thrown: unknown): void;
}

/** The time after which a buffer that could not be written is tried again. */
const RETRY_MS = 1_000;

export function createWriteBehind(buffer: WriteBehindBuffer, ports: WriteBehindPorts): WriteBehind {
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const runIn = (ms: number): void => {
    if (!closed) timer = setTimeout(run, ms);
  };
  const run = (force = false): void => {
    clearTimeout(timer);
    const dueInMs = buffer.dueInMs();
    if (dueInMs === undefined) return;
    const blocked = ports.blocked();
    if (blocked || (dueInMs > 0 && !force)) {
      runIn(blocked ? RETRY_MS : dueInMs);
      return;
    }
    try {
      buffer.flush();
    } catch (thrown) {
      ports.failed(thrown);
      runIn(RETRY_MS);
      return;
    }
    ports.flushed();
  };
  return {
    run: () => run(),
    flush: () => run(true),
    close() {
      closed = true;
      run(true);
    },
  };
}
