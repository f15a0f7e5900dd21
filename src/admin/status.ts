import { describeFault } from '../model/fault.ts';
import { describeDisagreement } from '../model/service-clock.ts';
import { judge, judgeRecording } from '../model/verdict.ts';
import { type BridgeState, connectorCopy } from './contract.ts';
import type { BridgePorts } from './ports.ts';

const GROUPS_FULL =
  'groups take half of journal.maxBytes: callbacks of new ones are refused; set app.callbackTokens or receiver.allowFrom, and free room with groups forget or groups prune, or raise it';

export function createStatus(ports: BridgePorts): () => BridgeState {
  const { settings, signals, stopping, service, connectors, delivery, reconcile, receiver, clock } = ports;
  const { file, bytes, journal, reader } = ports.journal;
  let trouble: string | undefined;
  signals.on('journal.failed', ({ fault }) => {
    trouble = describeFault(fault);
  });
  signals.on('journal.recovered', () => {
    trouble = undefined;
  });
  let notAfter = Number.POSITIVE_INFINITY;
  signals.on('tls.loaded', (loaded) => {
    notAfter = loaded.notAfter;
  });
  return () => {
    const now = clock.now();
    const reconciler = reconcile.reconciler();
    const skewMs = service.disagreement();
    const warnings = [
      notAfter < now && 'the certificate in receiver.tls.certFile has expired: callers will reject it',
      skewMs !== 0 && describeDisagreement(skewMs),
      journal.groupsFull() && GROUPS_FULL,
      receiver.warning(),
    ].filter((one) => typeof one === 'string');
    const reason = stopping.signal.aborted ? 'the bridge is stopping' : trouble;
    const standing = connectors().map((name) => {
      const { kind = '', verify = false } = settings().connectors[name] ?? {};
      const { copy, ...health } = delivery.health(name);
      const [retried, replayed] = [delivery.retried(name), delivery.replayed(name)];
      return {
        name,
        kind,
        ...health,
        copy: connectorCopy.parse(copy),
        lag: delivery.lag(name),
        lagSeconds: Math.max(0, now - (delivery.openSince(name) ?? now)) / 1_000,
        deadLetters: reader.countDeadLetters(name),
        ...(retried !== undefined && { retried }),
        ...(replayed !== undefined && { replayed }),
        ...(verify && { verifyEvery: verify.every }),
      };
    });
    return {
      ready: reason === undefined,
      ...(reason !== undefined && { reason }),
      ...(warnings.length > 0 && { warnings }),
      verdict: judge(judgeRecording(reason, receiver.url()), standing, now),
      receiver: receiver.url(),
      ...(reconciler !== undefined && { reconcile: reconciler.status() }),
      journal: { file, head: journal.head(), bytes: bytes(), quarantined: reader.countQuarantined() },
      connectors: standing,
    };
  };
}
