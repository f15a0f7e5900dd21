/** The addresses that callbacks come from, as published by the service: `receiver.allowFrom: service`. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { BlockList } from 'node:net';
import { z } from 'zod';
import type { Config } from '../config/schema.ts';
import { isAddressRange, toAddressList } from '../model/address.ts';
import type { Clock } from '../model/clock.ts';
import { faultOf } from '../model/fault.ts';
import type { ServiceClock } from '../model/service-clock.ts';
import type { SignalBus } from '../model/signal.ts';
import { createGroupApi } from './api.ts';

/** After a failed refresh the next one comes sooner. */
const RETRY_MS = 60_000;
/** How soon the addresses are read once a reload asks for them. */
const IDLE_MS = 5_000;

const kept = z.array(z.string());

interface AddressPorts {
  settings(): Pick<Config, 'app' | 'receiver' | 'reconcile'>;
  /** Keeps the latest list across restarts. */
  readonly file: string;
  readonly clock: Clock;
  readonly service?: ServiceClock;
  readonly signals: SignalBus;
  readonly stopping: AbortSignal;
}

export type ServiceAddresses = ReturnType<typeof keepServiceAddresses>;

/** Keeps the service's addresses current as long as the configuration asks for them; an outage keeps the latest ones. */
export function keepServiceAddresses({ settings, file, clock, service, signals, stopping }: AddressPorts) {
  let addresses = readKept(file);
  let list = toAddressList(addresses);
  const wanted = (): boolean => settings().receiver.allowFrom?.includes('service') ?? false;

  async function refresh(): Promise<void> {
    const { app, reconcile } = settings();
    if (reconcile === undefined) return;
    const api = createGroupApi({ ...reconcile.api, sdkAppId: app.sdkAppId }, clock, service);
    const found = (await api.addresses(stopping)).filter(isAddressRange).sort();
    // An empty list cannot be right, and would have all callbacks refused, and lost.
    if (found.length === 0) throw new Error('its list of addresses is empty');
    const changed = found.join() !== addresses.join();
    addresses = found;
    list = toAddressList(found);
    if (!changed) return;
    writeFileSync(`${file}.new`, JSON.stringify(found), { mode: 0o600 });
    renameSync(`${file}.new`, file);
    signals.emit('addresses.changed', { count: found.length });
  }

  async function keep(): Promise<void> {
    while (!stopping.aborted) {
      let waitMs = Math.min(RETRY_MS, settings().receiver.refreshAddresses);
      try {
        if (wanted()) await refresh();
        waitMs = wanted() ? settings().receiver.refreshAddresses : IDLE_MS;
      } catch (thrown) {
        if (stopping.aborted) return;
        signals.emit('addresses.failed', { fault: faultOf(thrown, 'service-unreachable'), known: addresses.length });
      }
      await clock.sleep(waitMs, stopping);
    }
  }
  void keep();

  return {
    /** Undefined until a list was read: until then nobody is refused because of the address. */
    current: (): BlockList | undefined => (addresses.length === 0 ? undefined : list),
    warning: (): string | undefined =>
      wanted() && addresses.length === 0
        ? 'receiver.allowFrom: the addresses of the service are not known yet: callers from anywhere are let in'
        : undefined,
  };
}

/** Ignores a missing or damaged file, since the list is read again anyway. */
function readKept(file: string): string[] {
  try {
    return kept.parse(JSON.parse(readFileSync(file, 'utf8'))).filter(isAddressRange);
  } catch {
    return [];
  }
}
