import type { DeliveryRoom } from '../delivery/room.ts';
import type { JournalRoom } from '../journal/room.ts';
import { describeFault } from '../model/fault.ts';
import { describeDisagreement, type ServiceClock } from '../model/service-clock.ts';
import type { SignalBus } from '../model/signal.ts';
import type { Reconciler } from '../reconcile/schedule.ts';
import type { BridgeState } from './contract.ts';

export interface StatusPorts {
  readonly signals: SignalBus;
  readonly stopping: AbortController;
  readonly service: Pick<ServiceClock, 'disagreement'>;
  connectors(): readonly string[];
  kindOf(connector: string): string;
  readonly journal: Pick<JournalRoom, 'file' | 'bytes' | 'journal' | 'reader'>;
  readonly delivery: Pick<DeliveryRoom, 'health' | 'lag'>;
  readonly reconcile: { reconciler(): Reconciler | undefined };
  readonly receiver: { url(): string; warning(): string | undefined };
}

const GROUPS_FULL =
  'groups take half of journal.maxBytes: callbacks of new ones are refused; set app.callbackTokens or receiver.allowFrom; groups forget and groups prune make room, as does a larger one';

/** Returns what tells how the bridge is. */
export function createStatus(ports: StatusPorts): () => BridgeState {
  const { signals, stopping, service, connectors, kindOf, delivery, reconcile, receiver } = ports;
  const { file, bytes, journal, reader } = ports.journal;
  const trouble = watchTrouble(signals);
  return () => {
    const reconciler = reconcile.reconciler();
    const skewMs = service.disagreement();
    const warnings = [
      skewMs !== 0 && describeDisagreement(skewMs),
      journal.groupsFull() && GROUPS_FULL,
      receiver.warning(),
    ].filter((one) => typeof one === 'string');
    const reason = stopping.signal.aborted ? 'the bridge is stopping' : trouble();
    return {
      ready: reason === undefined,
      ...(reason !== undefined && { reason }),
      ...(warnings.length > 0 && { warnings }),
      receiver: receiver.url(),
      ...(reconciler !== undefined && { reconcile: reconciler.status() }),
      journal: { file, head: journal.head(), bytes: bytes(), quarantined: reader.countQuarantined() },
      connectors: connectors().map((name) => ({
        name,
        kind: kindOf(name),
        ...delivery.health(name),
        lag: delivery.lag(name),
        deadLetters: reader.countDeadLetters(name),
      })),
    };
  };
}

/** Returns why callbacks cannot be recorded just now, if so. */
function watchTrouble(signals: SignalBus): () => string | undefined {
  let trouble: string | undefined;
  signals.on('journal.failed', ({ fault }) => {
    trouble = describeFault(fault);
  });
  signals.on('journal.recovered', () => {
    trouble = undefined;
  });
  return () => trouble;
}
