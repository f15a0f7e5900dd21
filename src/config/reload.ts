import { BridgeError } from '../model/fault.ts';
import type { SignalBus } from '../model/signal.ts';
import { type Change, compareConfigs } from './diff.ts';
import { type ConfigResult, formatProblem, type Problem } from './load.ts';
import type { Config } from './schema.ts';

/** What a reload brought about; see Change. */
export type ReloadResult = Omit<Change, 'config'>;

/** The file cannot be taken over: nothing changed. The message holds every problem, a line each. */
export class ConfigRefused extends BridgeError {
  override readonly name = 'ConfigRefused';
  readonly problems: readonly Problem[];
  constructor(file: string, problems: readonly Problem[], cause?: unknown) {
    const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
    const message = [...problems.map(formatProblem), `${count} in ${file}: nothing was changed`].join('\n');
    super({ code: 'config-invalid', message }, cause);
    this.problems = problems;
  }
}

/** Where the configuration comes from. */
export interface ConfigSource {
  /** As it is named in problems. */
  readonly file: string;
  /** Reads it anew, with the environment and the files it names. */
  load(): ConfigResult<Config>;
}

export interface ReloadPorts {
  /** Undefined where the bridge was not started from a file. */
  readonly source: ConfigSource | undefined;
  /** What is in effect. */
  current(): Config;
  /**
   * Makes ready what the change needs, and changes nothing yet: throws a BridgeError when it cannot be had. What it
   * returns carries the change out, in bounded time.
   */
  prepare(change: Change): () => Promise<void>;
  readonly signals: SignalBus;
  stopping(): boolean;
}

/**
 * Takes over what changed in the file; throws ConfigRefused when it cannot be. One at a time: those who ask while one
 * goes on share the next, which reads the file as it is then.
 */
export function createReload({
  source,
  current,
  prepare,
  signals,
  stopping,
}: ReloadPorts): () => Promise<ReloadResult> {
  async function reload(): Promise<ReloadResult> {
    if (stopping()) throw new BridgeError({ code: 'stopping', message: 'the bridge is stopping' });
    if (source === undefined) {
      throw new BridgeError({ code: 'usage', message: 'this bridge was not started from a file: start it anew' });
    }
    const { file } = source;
    try {
      const { carryOut, ...result } = read(source);
      await carryOut();
      signals.emit('config.reloaded', { file, ...result });
      return result;
    } catch (thrown) {
      if (thrown instanceof ConfigRefused) {
        signals.emit('config.refused', { file, fault: thrown.fault, problems: thrown.problems.map(formatProblem) });
      }
      throw thrown;
    }
  }

  function read({ file, load }: ConfigSource): ReloadResult & { carryOut: () => Promise<void> } {
    const loaded = load();
    if (!loaded.ok) throw new ConfigRefused(file, loaded.problems);
    const change = compareConfigs(current(), loaded.config);
    const { config: _, ...result } = change;
    try {
      return { ...result, carryOut: prepare(change) };
    } catch (thrown) {
      if (!(thrown instanceof BridgeError)) throw thrown;
      const { path = '', message, suggestion } = thrown.fault;
      throw new ConfigRefused(file, [{ file, path, message, ...(suggestion !== undefined && { suggestion }) }], thrown);
    }
  }

  let last: Promise<unknown> = Promise.resolve();
  let next: Promise<ReloadResult> | undefined;
  return () => {
    next ??= last.then(() => {
      next = undefined;
      const now = reload();
      last = now.catch(() => {});
      return now;
    });
    return next;
  };
}
