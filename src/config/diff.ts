import { isDeepStrictEqual } from 'node:util';
import { isObject } from '../model/json.ts';
import type { ReloadResult } from '../model/signal.ts';
import type { Config, ConnectorConfig } from './schema.ts';

export interface Change extends ReloadResult {
  /** What takes effect now: the new configuration, except for what needs a restart. */
  readonly config: Config;
}

/** The settings that can be exchanged while callbacks come in; all others, future ones included, wait for a restart. */
export const EXCHANGEABLE: ReadonlySet<string> = new Set([
  ...['app.callbackTokens', 'app.signWindow'],
  ...['receiver.path', 'receiver.maxBodyBytes', 'receiver.maxInFlight', 'receiver.allowFrom', 'receiver.trustProxy'],
  ...['receiver.refreshAddresses', 'receiver.refuseBefore', 'receiver.rateLimit', 'receiver.healthPath'],
  ...['receiver.extra', 'receiver.otherCommands', 'receiver.allowBefore', 'receiver.whenUnrecordable'],
  ...['journal.keepDelivered', 'shutdownMs', 'reconcile'],
]);

export function compareConfigs(current: Config, next: Config): Change {
  const { connectors: before, ...currentRest } = current;
  const { connectors: after, ...nextRest } = next;
  const [old, wanted] = [enabledOf(before), enabledOf(after)];
  const both = Object.keys(wanted).filter((name) => Object.hasOwn(old, name));
  const changed = both.filter((name) => !isDeepStrictEqual(old[name], wanted[name]));
  const { settings, applied, needsRestart } = inEffect(currentRest, nextRest);
  return {
    // Each part comes from one of two configurations that passed the schema.
    config: { ...settings, connectors: after } as unknown as Config,
    added: Object.keys(wanted).filter((name) => !Object.hasOwn(old, name)),
    changed,
    removed: Object.keys(old).filter((name) => !Object.hasOwn(wanted, name)),
    unchanged: both.length - changed.length,
    applied,
    needsRestart,
  };
}

export function enabledOf(connectors: Config['connectors']): Readonly<Record<string, ConnectorConfig>> {
  return Object.fromEntries(Object.entries(connectors).filter(([, { enabled }]) => enabled));
}

type Settings = Readonly<Record<string, unknown>>;

/** Returns the new settings, but the old ones where they differ and cannot be exchanged. */
function inEffect(before: Settings, after: Settings, prefix = '') {
  const settings: Record<string, unknown> = {};
  const applied: string[] = [];
  const needsRestart: string[] = [];
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const path = prefix + key;
    const [old, wanted] = [before[key], after[key]];
    const exchangeable = EXCHANGEABLE.has(path);
    if (!exchangeable && prefix === '' && isObject(old) && isObject(wanted)) {
      const section = inEffect(old, wanted, `${path}.`);
      settings[key] = section.settings;
      applied.push(...section.applied);
      needsRestart.push(...section.needsRestart);
      continue;
    }
    const same = isDeepStrictEqual(old, wanted);
    const value = same || exchangeable ? wanted : old;
    if (value !== undefined) settings[key] = value;
    if (!same) (exchangeable ? applied : needsRestart).push(path);
  }
  return { settings, applied, needsRestart };
}
