import { randomUUID } from 'node:crypto';
import { accepted, type Checked, type HttpFault, refused } from '../model/fault.ts';
import { parseBody } from './body.ts';
import type { Command } from './commands.ts';
import type { ReceiverContext, ReceiverPorts, ReceiverSettings } from './context.ts';
import { mapCallback, readEventTime } from './mapping.ts';
import { withoutSign } from './query.ts';

type Recorded = Checked<'recorded' | 'duplicate' | 'quarantined'>;

/** Creates what records callbacks: parse, map, write. It throws what the journal throws. */
export function createRecording(settings: ReceiverSettings, ports: ReceiverPorts) {
  const { clock, signals } = ports;
  const recordOrDefer = createDeferral(settings, ports);
  const run = randomUUID();
  let receipts = 0;

  async function quarantine(context: ReceiverContext, fault: HttpFault): Promise<Recorded> {
    const body = Buffer.from(context.get('body')).toString();
    const raw = { receivedAt: clock.now(), search: withoutSign(context.get('query')), body, fault };
    await recordOrDefer(() => ports.quarantine(raw));
    signals.emit('callback.quarantined', { fault });
    return accepted('quarantined');
  }

  return async (context: ReceiverContext, command: Command): Promise<Recorded> => {
    const body = parseBody(context.get('body'));
    if (!body.ok && body.fault.code === 'not-json') return body;
    const mismatch = body.ok ? checkCommand(context.get('command'), body.value) : undefined;
    if (mismatch !== undefined) return refused(mismatch);
    const callback = body.ok ? command.read(body.value) : body;
    // A verified sender has changed the protocol: the callback is kept as it came.
    if (!callback.ok) return settings.sign === undefined ? callback : quarantine(context, callback.fault);

    const at = clock.now();
    const told = readEventTime(callback.value.eventTime);
    if (told !== undefined) ports.service?.hear(callback.value.groupId, told - at);
    const receipt = { at, serviceAt: ports.service?.now() ?? at, nonce: `${run}/${++receipts}` };
    const event = mapCallback(settings.sdkAppId, context.get('query'), callback.value, receipt);
    const { groupId, extra } = event.data;
    if ('EventTime' in extra) {
      signals.emit('clock.skew', { groupId, aheadMs: Number(extra.EventTime) - receipt.serviceAt });
    }
    const traced = context.get('trace')?.carriedBy(event) ?? event;
    // Invariant 1: OK is answered only once the event is on disk.
    return accepted(await recordOrDefer(() => ports.record(traced)));
  };
}

/** Exceeds the service's time-out of 2 s. */
const DEFER_MS = 2_500;
const MAX_DEFERRED = 1_000;

/**
 * Creates what records, or else defers the answer past the service's time-out and tries once more, for a bounded number of
 * callbacks: the service does not send a callback again after an error, but it does after a time-out, where the console's
 * switch is on.
 */
function createDeferral({ whenUnrecordable }: ReceiverSettings, { clock, signals, stopping }: ReceiverPorts) {
  let deferred = 0;
  const count = (change: 1 | -1): void => {
    deferred += change;
    signals.emit('callback.held', { held: deferred });
  };
  return async function recordOrDefer<T>(record: () => Promise<T>): Promise<T> {
    try {
      return await record();
    } catch (thrown) {
      if (whenUnrecordable === 'fail' || deferred >= MAX_DEFERRED || stopping()) throw thrown;
    }
    count(1);
    await clock.sleep(DEFER_MS);
    count(-1);
    return await record();
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
