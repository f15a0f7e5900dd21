import { randomUUID } from 'node:crypto';
import type { Handler } from 'hono';
import { isBeforeCallback } from '../model/callback.ts';
import { accepted, type Checked, type HttpFault, refused } from '../model/fault.ts';
import { checkCommand, checkGroup, checkTwice, parseBody } from './body.ts';
import { type Callback, COMMANDS, isAboutTopic, type ReadCommand } from './commands.ts';
import {
  acknowledge,
  forbid,
  type ReceiverContext,
  type ReceiverEnv,
  type ReceiverPorts,
  type ReceiverSettings,
  refuse,
  relay,
} from './context.ts';
import type { HandlerAnswer } from './forward.ts';
import { mapCallback, numberIn, readEventTime } from './mapping.ts';
import { NO_COMMAND, withoutSign } from './request.ts';

/** Records the commands that become events; forwards, acknowledges or refuses all others. */
export function dispatch(settings: ReceiverSettings, ports: ReceiverPorts): Handler<ReceiverEnv> {
  const { record, keep } = createRecording(settings, ports);

  /** Resolves with undefined if there is no upstream handler. */
  async function forward(context: ReceiverContext): Promise<Checked<HandlerAnswer> | undefined> {
    const { search, body, caller, label: command } = context.var;
    const headers = context.env.incoming.headersDistinct;
    const answer = await ports.forward?.({ path: settings.path, search, headers, body: body.bytes, caller });
    if (answer?.ok === false) ports.signals.emit('forward.failed', { command, fault: answer.fault });
    return answer;
  }

  async function answerOther(context: ReceiverContext): Promise<Response> {
    const answer = await forward(context);
    if (answer !== undefined)
      return answer.ok ? relay(context, 'forwarded', answer.value) : refuse(context, answer.fault);
    const fault = checkOther(context, settings);
    if (fault === undefined) return acknowledge(context, 'acknowledged');
    if (fault.code === 'command-refused' && settings.refuseBefore === 'errorCode') return forbid(context, fault);
    const isVerified = settings.sign !== undefined;
    return isVerified && namesRecorded(context, settings)
      ? acknowledge(context, await keep(context, fault))
      : refuse(context, fault);
  }

  return async (context) => {
    const read = COMMANDS.get(context.get('command'));
    if (read === undefined) return answerOther(context);
    const asked = settings.forwardAll && context.get('body').fault === undefined ? forward(context) : undefined;
    const recorded = await record(context, read);
    const answer = await asked;
    if (!recorded.ok) return refuse(context, recorded.fault);
    // A recorded callback is answered OK even if the upstream handler fails: the service would not send it again.
    return answer?.ok ? relay(context, recorded.value, answer.value) : acknowledge(context, recorded.value);
  };
}

const parse = (context: ReceiverContext, { maxBodyBytes }: ReceiverSettings) =>
  parseBody(context.get('body').bytes, maxBodyBytes, context.env.incoming.headers);

/** Whether the body names a command that becomes an event, whatever the query says. */
function namesRecorded(context: ReceiverContext, settings: ReceiverSettings): boolean {
  const body = parse(context, settings);
  return body.ok && COMMANDS.has(body.value.fields.CallbackCommand as string);
}

function checkOther(context: ReceiverContext, settings: ReceiverSettings): HttpFault | undefined {
  const command = context.get('command');
  if (command === '') return NO_COMMAND;
  const body = parse(context, settings);
  if (!body.ok) return body.fault;
  return checkCommand(command, body.value.fields) ?? checkAllowed(command, settings);
}

function checkAllowed(command: string, { rejectsOthers, allowBefore }: ReceiverSettings): HttpFault | undefined {
  const refusal = { code: 'command-refused', path: 'CallbackCommand' } as const;
  if (isBeforeCallback(command)) {
    if (allowBefore.has(command.toLowerCase())) return undefined;
    return {
      ...refusal,
      message: `${command} asks for permission, which this bridge does not give`,
      suggestion:
        'switch it off in the vendor’s console, forward it (receiver.otherCommands.forwardTo), or allow it unseen (receiver.allowBefore)',
    };
  }
  if (!rejectsOthers) return undefined;
  return {
    ...refusal,
    message: `${command} is not handled here`,
    suggestion: 'switch it off in the vendor’s console, or set receiver.otherCommands to acknowledge',
  };
}

type Kept = 'recorded' | 'duplicate' | 'quarantined' | 'acknowledged';

/** Creates the recorder of callbacks: parse, map, write. It rejects as the journal does. */
function createRecording(settings: ReceiverSettings, ports: ReceiverPorts) {
  const { clock, signals } = ports;
  const { sdkAppId, drop } = settings;
  const isVerified = settings.sign !== undefined;
  const recordOrDefer = createDeferral(settings, ports);
  const run = randomUUID();
  let receipts = 0;

  /** Keeps a callback of a verified sender unchanged: nothing is lost, whatever is wrong with it. */
  async function keep(context: ReceiverContext, fault: HttpFault): Promise<'quarantined'> {
    const { bytes: body } = context.get('body');
    const raw = { receivedAt: clock.now(), search: withoutSign(context.get('query')), body, fault };
    await recordOrDefer(() => ports.quarantine(raw));
    signals.emit('callback.quarantined', { fault });
    return 'quarantined';
  }

  /** Reads a body as this command's; 'acknowledged' if it is about a topic of the group. */
  function understand(context: ReceiverContext, read: ReadCommand): Checked<Callback | 'acknowledged'> {
    const { fault } = context.get('body');
    if (fault !== undefined) return refused(fault);
    const body = parse(context, settings);
    if (!body.ok) return body;
    const { fields, lossy } = body.value;
    const contradiction =
      checkCommand(context.get('command'), fields) ?? (isVerified ? checkTwice(body.value) : undefined);
    if (contradiction !== undefined) return refused(contradiction);
    if (isAboutTopic(fields)) return accepted('acknowledged');
    const strange = checkGroup(body.value);
    if (strange !== undefined) return refused(strange);
    const callback = read(fields, { strict: isVerified, drop });
    if (callback.ok && lossy) signals.emit('callback.lossy', { groupId: callback.value.groupId });
    return callback;
  }

  async function record(context: ReceiverContext, read: ReadCommand): Promise<Checked<Kept>> {
    const understood = understand(context, read);
    if (!understood.ok) return isVerified ? accepted(await keep(context, understood.fault)) : understood;
    const callback = understood.value;
    if (callback === 'acknowledged') return accepted(callback);

    if (callback.beyond > 0) signals.emit('callback.bounded', { groupId: callback.groupId, fields: callback.beyond });
    const at = clock.now();
    const told = readEventTime(callback.eventTime);
    if (told !== undefined) ports.service?.hear(callback.groupId, told - at);
    const receipt = { at, serviceAt: ports.service?.now() ?? at, nonce: `${run}/${++receipts}` };
    const event = mapCallback(sdkAppId, context.get('query'), callback, receipt);
    const { groupId, extra } = event.data;
    if (extra.EventTime !== undefined && extra.EventTime !== null) {
      signals.emit('clock.skew', { groupId, aheadMs: numberIn(extra.EventTime) - receipt.serviceAt });
    }
    const traced = context.get('trace')?.carriedBy(event) ?? event;
    // Invariant 1: OK is answered only once the event is on disk.
    const recorded = await recordOrDefer(() => ports.record(traced));
    context.set('event', traced);
    return accepted(recorded);
  }
  return { record, keep };
}

/** Longer than the service's time-out of 2 s. */
const DEFER_MS = 2_500;
const MAX_DEFERRED = 1_000;

/**
 * Creates a function that records or, if that fails, defers the answer past the service's time-out and tries once more,
 * for a bounded number of callbacks: the service does not repeat a callback after an error, but does so after a time-out,
 * where the console's switch is on.
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
