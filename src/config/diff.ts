import { isDeepStrictEqual } from 'node:util';
import type { Config, ConnectorConfig } from './schema.ts';

/** What a configuration that was read anew means for the one in effect. Connectors are those that are enabled. */
export interface Change {
  /** In effect from now on: the new one, but for what only a start can take. */
  readonly config: Config;
  readonly added: readonly string[];
  /** Their settings differ. */
  readonly changed: readonly string[];
  /** Gone or disabled. */
  readonly removed: readonly string[];
  readonly unchanged: number;
  /** Other settings that differ and are in effect now, such as `app.callbackTokens`. */
  readonly applied: readonly string[];
  /** Those that differ and take effect at the next start only. */
  readonly needsRestart: readonly string[];
}

/** What can be exchanged while callbacks come in; everything else, also what is to come, waits for the next start. */
const EXCHANGEABLE: ReadonlySet<string> = new Set([
  ...['app.callbackTokens', 'app.signWindow'],
  ...['receiver.path', 'receiver.maxBodyBytes', 'receiver.maxInFlight', 'receiver.allowFrom', 'receiver.trustProxy'],
  ...['receiver.otherCommands', 'receiver.allowBefore', 'receiver.whenUnrecordable'],
  ...['journal.keepDelivered', 'shutdownMs', 'reconcile'],
]);

type Settings = Readonly<Record<string, unknown>>;

export function compareConfigs(current: Config, next: Config): Change {
  const applied: string[] = [];
  const needsRestart: string[] = [];

  /** The settings in effect: of `before` where they differ and cannot be exchanged, else of `after`. */
  const merged = (before: Settings, after: Settings, prefix: string): Settings => {
    const effect: Record<string, unknown> = {};
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      const path = prefix + key;
      const [old, wanted] = [before[key], after[key]];
      const exchangeable = EXCHANGEABLE.has(path);
      if (!exchangeable && prefix === '' && isSection(old) && isSection(wanted)) {
        effect[key] = merged(old, wanted, `${path}.`);
        continue;
      }
      const value = isDeepStrictEqual(old, wanted) || exchangeable ? wanted : old;
      if (value !== undefined) effect[key] = value;
      if (!isDeepStrictEqual(old, wanted)) (exchangeable ? applied : needsRestart).push(path);
    }
    return effect;
  };

  const { connectors: before, ...currentRest } = current;
  const { connectors: after, ...nextRest } = next;
  // Each part of it is one of two configurations that the schema has let through.
  const config = { ...merged(currentRest, nextRest, ''), connectors: after } as unknown as Config;

  const old = enabledOf(before);
  const wanted = enabledOf(after);
  const both = Object.keys(wanted).filter((name) => name in old);
  const changed = both.filter((name) => !isDeepStrictEqual(old[name], wanted[name]));
  return {
    config,
    added: Object.keys(wanted).filter((name) => !(name in old)),
    changed,
    removed: Object.keys(old).filter((name) => !(name in wanted)),
    unchanged: both.length - changed.length,
    applied,
    needsRestart,
  };
}

export function enabledOf(connectors: Config['connectors']): Readonly<Record<string, ConnectorConfig>> {
  return Object.fromEntries(Object.entries(connectors).filter(([, { enabled }]) => enabled));
}

function isSection(value: unknown): value is Settings {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
