import { randomUUID } from 'node:crypto';
import type { Clock } from '../model/clock.ts';
import type { CanonicalEvent } from '../model/event.ts';
import { accepted, type Checked, type HttpFault, refused } from '../model/fault.ts';
import type { RawCallback } from '../model/quarantine.ts';
import type { SignalBus } from '../model/signal.ts';
import { parseBody } from './body.ts';
import type { Command } from './commands.ts';
import type { CallbackTrace } from './context.ts';
import { createDeferral } from './deferred-answer.ts';
import { mapCallback } from './mapping.ts';
import { type CommandQuery, withoutSign } from './query.ts';

export interface RecordingSettings {
  readonly sdkAppId: string;
  /** True when every sender is verified: a callback of the service is kept even if it cannot be mapped. */
  readonly verified: boolean;
  /** Decides when the journal cannot record: hold the answer past the service's time-out, or fail at once. */
  readonly whenUnrecordable: 'hold' | 'fail';
}

export interface RecordingPorts {
  /** Resolves once the event is on disk; throws a BridgeError when it cannot be. */
  record(event: CanonicalEvent): Promise<'recorded' | 'duplicate'>;
  /** Keeps a verified callback that cannot be mapped; resolves once it is on disk. */
  quarantine(callback: RawCallback): Promise<void>;
  readonly clock: Clock;
  readonly signals: SignalBus;
  /** True from SIGTERM on. */
  stopping(): boolean;
}

export type Recorded = Checked<'recorded' | 'duplicate' | 'quarantined'>;
export type RecordCallback = (
  command: Command,
  query: CommandQuery,
  bytes: Uint8Array,
  trace: CallbackTrace | undefined,
) => Promise<Recorded>;

/** Creates what records callbacks: parse, map, write. It throws what the journal throws. */
export function createRecording(settings: RecordingSettings, ports: RecordingPorts): RecordCallback {
  const { clock, signals } = ports;
  const recordOrDefer = createDeferral(settings.whenUnrecordable, ports);
  const run = randomUUID();
  let receipts = 0;

  async function quarantine(query: CommandQuery, bytes: Uint8Array, fault: HttpFault): Promise<Recorded> {
    const raw = { receivedAt: clock.now(), search: withoutSign(query), body: Buffer.from(bytes).toString(), fault };
    await recordOrDefer(() => ports.quarantine(raw));
    signals.emit('callback.quarantined', { fault });
    return accepted('quarantined');
  }

  return async (command, query, bytes, trace) => {
    const body = parseBody(bytes);
    if (!body.ok && body.fault.code === 'not-json') return body;
    const mismatch = body.ok ? checkCommand(query.command, body.value) : undefined;
    if (mismatch !== undefined) return refused(mismatch);
    const callback = body.ok ? command.read(body.value) : body;
    // A verified sender has changed the protocol: the callback is kept as it came.
    if (!callback.ok) return settings.verified ? quarantine(query, bytes, callback.fault) : callback;

    const receipt = { at: clock.now(), nonce: `${run}/${++receipts}` };
    const event = mapCallback(settings.sdkAppId, query, callback.value, receipt);
    const { groupId, extra } = event.data;
    if ('EventTime' in extra) {
      signals.emit('clock.skew', { groupId, aheadMs: Number(extra.EventTime) - receipt.at });
    }
    const traced = trace?.carriedBy(event) ?? event;
    // Invariant 1: OK is answered only once the event is on disk.
    return accepted(await recordOrDefer(() => ports.record(traced)));
  };
}

/** Refuses a body that names another command than the query: that is not the protocol. */
export function checkCommand(
  command: string,
  { CallbackCommand: named }: Readonly<Record<string, unknown>>,
): HttpFault | undefined {
  if (named === undefined || named === command) return undefined;
  return {
    code: 'command-mismatch',
    path: 'CallbackCommand',
    message: 'the query and the body name different commands',
  };
}
