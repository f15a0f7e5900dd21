import { opennessOf } from '../config/listeners.ts';
import type { Config } from '../config/schema.ts';
import type { DeliveryRoom } from '../delivery/room.ts';
import type { JournalRoom } from '../journal/room.ts';
import type { Verdict } from '../model/verdict.ts';
import { watchLastFaults } from '../telemetry/last-fault.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { keepNotifying } from '../telemetry/notify.ts';
import { watchRefusals } from '../telemetry/refusals.ts';
import { keepStats } from '../telemetry/stats.ts';
import { type ApiPorts, createApi } from './api.ts';
import { createConsole } from './console/console.ts';
import type { ConsolePorts } from './console/ports.ts';
import { createStatus, type StatusPorts } from './status.ts';
import { watchVerdict } from './verdict.ts';

interface AdminRoomPorts extends Omit<StatusPorts, 'configured' | 'clock'>, Pick<ApiPorts, 'clock' | 'reload'> {
  /** The configuration in effect. */
  settings(): Config;
  readonly version: string;
  /** The callbacks that become events. */
  readonly commands: Iterable<string>;
  readonly journal: JournalRoom;
  readonly delivery: DeliveryRoom;
  readonly receiver: StatusPorts['receiver'] & {
    sampler: ConsolePorts['sampler'];
    readonly quarantine: { remap: ApiPorts['remapQuarantine']; discard: ApiPorts['discardQuarantined'] };
  };
}

/** Puts together what the admin server of a bridge offers: the API, the metrics and the console. */
export function createAdminRoom(ports: AdminRoomPorts) {
  const { settings, clock, signals, stopping, journal, delivery, reconcile, receiver, reload } = ports;
  const { admin, app } = settings();
  const status = createStatus({ ...ports, configured: (name) => settings().connectors[name] });
  const verdict = () => status().verdict;
  void watchVerdict(verdict, clock, signals, stopping.signal);
  keepNotifying({ ...ports, settings: () => settings().notify, sdkAppId: app.sdkAppId, journalFile: journal.file });
  const metrics = createRoomMetrics(ports, verdict);
  const shared = {
    operations: delivery.operations,
    history: journal.history,
    status,
    quarantined: journal.reader.quarantined,
    countQuarantined: journal.reader.countQuarantined,
    remapQuarantine: receiver.quarantine.remap,
    discardQuarantined: receiver.quarantine.discard,
    reconciler: reconcile.reconciler,
  };
  const console = createConsole({
    ...shared,
    sdkAppId: app.sdkAppId,
    openness: () => opennessOf(settings()),
    signedIn: admin.token !== undefined,
    now: () => clock.now(),
    holdsGroups: (name) => delivery.destination(name).holdsGroups,
    lastFault: watchLastFaults(signals, clock),
    refusals: watchRefusals(signals, clock),
    behindSince: delivery.openSince,
    stats: keepStats(metrics, clock, stopping.signal),
    journal: {
      fill: journal.journal.fill,
      maxBytes: journal.maxBytes,
      keepDelivered: () => settings().journal.keepDelivered,
    },
    group: journal.groups.get,
    groupCount: journal.groups.count,
    groupName: journal.groups.nameOf,
    sampler: receiver.sampler,
    stopping: stopping.signal,
  });
  const { groups, journal: forgetting } = journal;
  const access = { token: admin.token };
  return createApi({ ...shared, metrics, groups, forgetting, reload, access, clock, signals, console });
}

function createRoomMetrics(ports: AdminRoomPorts, verdict: () => Verdict) {
  const { settings, version, commands, connectors, clock, signals, service, journal, delivery, reconcile } = ports;
  return createMetrics(signals, clock, {
    version,
    verdict,
    commands,
    connectors,
    head: journal.journal.head,
    lag: delivery.lag,
    openSince: delivery.openSince,
    deadLetters: journal.reader.countDeadLetters,
    copy: (name) => delivery.health(name).copy,
    quarantined: journal.reader.countQuarantined,
    clockDisagreement: service.disagreement,
    journalBytes: journal.bytes,
    journalMaxBytes: journal.maxBytes,
    setAside: journal.setAside,
    reconcile: () => ({
      every: settings().reconcile?.every ?? 0,
      endedAt: reconcile.reconciler()?.status().run?.endedAt,
    }),
  });
}
