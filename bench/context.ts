import type { Servers } from '../test/servers/index.ts';
import type { Figures } from './figures.ts';
import type { LoadGenerator } from './load/load.ts';
import type { Options } from './options.ts';

/** What every phase works with. */
export interface Bench {
  readonly servers: Servers;
  readonly load: LoadGenerator;
  readonly options: Options;
  readonly figures: Figures;
  readonly closing: Closing;
  print(line: string): void;
}

/** What must be ended when the run ends, however it does: the newest first. */
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
