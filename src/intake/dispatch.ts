import { randomUUID } from 'node:crypto';
import type { Handler } from 'hono';
import { isBeforeCallback } from '../model/callback.ts';
import { accepted, type Checked, type HttpFault, refused } from '../model/fault.ts';
import { COMMANDS, type Command } from './commands.ts';
import {
  acknowledge,
  type ReceiverContext,
  type ReceiverEnv,
  type ReceiverPorts,
  type ReceiverSettings,
  refuse,
  relay,
} from './context.ts';
import type { HandlerAnswer } from './forward.ts';
import { mapCallback, readEventTime } from './mapping.ts';
import { parseBody, withoutSign } from './request.ts';

/** Records the commands that become events; forwards, acknowledges or refuses all others. */
export function dispatch(settings: ReceiverSettings, ports: ReceiverPorts): Handler<ReceiverEnv> {
  const record = createRecording(settings, ports);

  async function forward(context: ReceiverContext): Promise<Checked<HandlerAnswer>> {
    const [target, body, caller] = [context.get('target'), context.get('body'), context.get('caller')];
    const headers = context.env.incoming.headersDistinct;
    const answer = (await ports.forward?.({ target, headers, body, caller })) ?? NO_HANDLER;
    if (!answer.ok) ports.signals.emit('forward.failed', { command: context.get('label'), fault: answer.fault });
    return answer;
  }

  return async (context) => {
    const command = COMMANDS.get(context.get('command'));
    if (command === undefined) {
      if (settings.otherCommands !== 'forward') return answerOther(context, settings);
      const answer = await forward(context);
      return answer.ok ? relay(context, 'forwarded', answer.value) : refuse(context, answer.fault);
    }
    const asked = settings.forwardAll ? forward(context) : undefined;
    const recorded = await record(context, command);
    const answer = asked && (await asked);
    if (!recorded.ok) return refuse(context, recorded.fault);
    // A recorded callback is answered OK even if the upstream handler fails: the service would not send it again.
    return answer?.ok ? relay(context, recorded.value, answer.value) : acknowledge(context, recorded.value);
  };
}

const NO_HANDLER = refused({ code: 'internal', message: 'there is no handler to forward to' });

function answerOther(context: ReceiverContext, settings: ReceiverSettings): Response {
  const command = context.get('command');
  const body = parseBody(context.get('body'));
  const fault = body.ok ? (checkCommand(command, body.value) ?? checkOther(command, settings)) : body.fault;
  return fault === undefined ? acknowledge(context, 'acknowledged') : refuse(context, fault);
}

function checkOther(command: string, { otherCommands, allowBefore }: ReceiverSettings): HttpFault | undefined {
  const refusal = { code: 'command-refused', path: 'CallbackCommand' } as const;
  if (isBeforeCallback(command)) {
    if (allowBefore.has(command)) return undefined;
    return {
      ...refusal,
      message: `${command} asks for leave, which this bridge does not give`,
      suggestion:
        'switch it off in the vendor’s console, forward it (receiver.otherCommands.forwardTo), or allow it unseen (receiver.allowBefore)',
    };
  }
  if (otherCommands === 'acknowledge') return undefined;
  return {
    ...refusal,
    message: `${command} is not handled here`,
    suggestion: 'switch it off in the vendor’s console, or set receiver.otherCommands to acknowledge',
  };
}

/** Refuses a body that names another command than the query: that is not the protocol. */
function checkCommand(command: string, { CallbackCommand: named }: Record<string, unknown>): HttpFault | undefined {
  if (named === undefined || named === command) return undefined;
  const message = 'the query and the body name different commands';
  return { code: 'command-mismatch', path: 'CallbackCommand', message };
}

type Recorded = Checked<'recorded' | 'duplicate' | 'quarantined'>;

/** Creates what records callbacks: parse, map, write. It throws what the journal throws. */
function createRecording(settings: ReceiverSettings, ports: ReceiverPorts) {
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
