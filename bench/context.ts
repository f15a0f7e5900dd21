import type { Servers } from '../test/servers/index.ts';
import type { Figures } from './figures.ts';
import type { LoadGenerator } from './load/load.ts';
import type { Options } from './options.ts';

/** The context of every phase. */
export interface Bench {
  readonly servers: Servers;
  readonly load: LoadGenerator;
  readonly options: Options;
  readonly figures: Figures;
  readonly closing: Closing;
  readonly profileFolder?: string | undefined;
  readonly entry?: string | undefined;
  print(line: string): void;
}

/** Ends everything that was started, the newest first, however the run ends. */
export interface Closing {
  /** The returned function does it now, once. */
  add(close: () => Promise<void> | void): () => Promise<void>;
  closeAll(): Promise<void>;
}

export function createClosing(): Closing {
  const open = new Set<() => Promise<void>>();
  return {
    add(close) {
      const closeOnce = async (): Promise<void> => {
        if (!open.delete(closeOnce)) return;
        await close();
      };
      open.add(closeOnce);
      return closeOnce;
    },
    async closeAll() {
      for (const close of [...open].reverse()) await close().catch(() => {});
    },
  };
}

/** Ctrl-C ends everything that was started, then the process; a second one ends it at once. The returned function says whether. */
export function closeOnSignals(closing: Closing): () => boolean {
  let interrupted = false;
  for (const [name, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.on(name, () => {
      if (interrupted) process.exit(code);
      interrupted = true;
      process.stderr.write('stopping everything; once more ends it at once\n');
      void closing.closeAll().finally(() => process.exit(code));
    });
  }
  return () => interrupted;
}
