import { watchLastFaults } from '../telemetry/last-fault.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { keepNotifying } from '../telemetry/notify.ts';
import { watchRefusals } from '../telemetry/refusals.ts';
import { keepStats } from '../telemetry/stats.ts';
import { createApi } from './api.ts';
import { createConsole } from './console/console.ts';
import type { BridgePorts } from './ports.ts';
import { createStatus } from './status.ts';
import { watchVerdict } from './verdict.ts';

/** Puts together the admin server of a bridge: the API, the metrics and the console. */
export function createAdminRoom(ports: BridgePorts) {
  const { settings, clock, signals, service, stopping, journal, reconcile } = ports;
  const { admin, app } = settings();
  const status = createStatus(ports);
  void watchVerdict(() => status().verdict, clock, signals, stopping.signal);
  keepNotifying({ ...ports, settings: () => settings().notify, sdkAppId: app.sdkAppId, journalFile: journal.file });
  const metrics = createMetrics(signals, clock, {
    ...ports,
    status,
    clockDisagreement: service.disagreement,
    journalMaxBytes: journal.maxBytes,
    setAside: journal.setAside,
    reconcile: () => ({
      every: settings().reconcile?.every ?? 0,
      endedAt: reconcile.reconciler()?.lastEndedAt(),
    }),
  });
  const console = createConsole({
    ...ports,
    status,
    stats: keepStats(metrics, clock, stopping.signal),
    lastFault: watchLastFaults(signals, clock),
    refusals: watchRefusals(signals, clock),
  });
  return createApi({ ...ports, status, metrics, token: admin.token, console });
}
