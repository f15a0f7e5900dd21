import { BridgeError } from '../model/fault.ts';
import type { ReloadResult, SignalBus } from '../model/signal.ts';
import { plural } from '../model/text.ts';
import { clashesIn } from './clashes.ts';
import { type Change, compareConfigs } from './diff.ts';
import type { ConfigResult } from './file.ts';
import { formatProblem, type Problem } from './problems.ts';
import type { Config, Settings } from './schema.ts';

/** Thrown if a reload is refused, so that nothing changed. The message has a line for each problem. */
export class ConfigRefused extends BridgeError {
  override readonly name = 'ConfigRefused';
  readonly problems: readonly Problem[];
  constructor(file: string, problems: readonly Problem[], cause?: unknown) {
    const last = `${plural(problems.length, 'problem')} in ${file}: nothing was changed`;
    super({ code: 'config-invalid', message: [...problems.map(formatProblem), last].join('\n') }, cause);
    this.problems = problems;
  }
}

export interface ConfigSource {
  readonly file: string;
  load(): ConfigResult<Config>;
}

interface ReloadPorts {
  /** Undefined if the bridge was not started from a file. */
  readonly source: ConfigSource | undefined;
  current(): Config;
  /** Prepares the change, or throws a BridgeError; returns what carries it out, in bounded time. */
  prepare(change: Change): () => Promise<void>;
  readonly signals: SignalBus;
  stopping(): boolean;
}

/** Reloads run one at a time: requests during one share the next, which reads the file again. Throws ConfigRefused. */
export function createReload(ports: ReloadPorts): () => Promise<ReloadResult> {
  let last: Promise<unknown> = Promise.resolve();
  let next: Promise<ReloadResult> | undefined;
  return () => {
    next ??= last.then(() => {
      next = undefined;
      const now = reload(ports);
      last = now.catch(() => {});
      return now;
    });
    return next;
  };
}

async function reload(ports: ReloadPorts): Promise<ReloadResult> {
  const { source, signals } = ports;
  if (ports.stopping()) throw new BridgeError({ code: 'stopping', message: 'the bridge is stopping' });
  if (source === undefined) {
    throw new BridgeError({ code: 'usage', message: 'this bridge was not started from a file: restart it' });
  }
  const { file } = source;
  try {
    const { result, carryOut } = prepareFrom(source, ports);
    await carryOut();
    signals.emit('config.reloaded', { file, ...result });
    return result;
  } catch (thrown) {
    if (thrown instanceof ConfigRefused) {
      const { fault, problems } = thrown;
      signals.emit('config.refused', { file, fault, problems: problems.map(formatProblem) });
    }
    throw thrown;
  }
}

function prepareFrom({ file, load }: ConfigSource, { current, prepare }: ReloadPorts) {
  const loaded = load();
  if (!loaded.ok) throw new ConfigRefused(file, loaded.problems);
  const change = compareConfigs(current(), loaded.config);
  const { config, ...result } = change;
  const suggestion = `restart the bridge: ${change.needsRestart.join(', ')} cannot change without a restart`;
  const clashes = change.needsRestart.length > 0 ? clashesIn(config as unknown as Settings) : [];
  if (clashes.length > 0) {
    const problems = clashes.map((clash) => ({ file, ...clash, suggestion }));
    throw new ConfigRefused(file, problems);
  }
  try {
    return { result, carryOut: prepare(change) };
  } catch (thrown) {
    if (!(thrown instanceof BridgeError)) throw thrown;
    const { path = '', message, suggestion } = thrown.fault;
    throw new ConfigRefused(file, [{ file, path, message, ...(suggestion !== undefined && { suggestion }) }], thrown);
  }
}
