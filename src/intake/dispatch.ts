import type { Handler } from 'hono';
import { isBeforeCallback } from '../model/command.ts';
import { type Checked, type HttpFault, refused } from '../model/fault.ts';
import { parseBody } from './body.ts';
import { COMMANDS, type Command } from './commands.ts';
import { acknowledge, type ReceiverContext, type ReceiverEnv, refuse, relay } from './context.ts';
import type { HandlerAnswer, ReceivedCallback } from './forward.ts';
import { checkCommand, createRecording, type RecordingPorts, type RecordingSettings } from './recording.ts';

export interface DispatchSettings extends RecordingSettings {
  readonly otherCommands: 'acknowledge' | 'reject' | 'forward';
  /** With `forward`: forwards the recorded commands, too. */
  readonly forwardAll: boolean;
  /** "Before" commands that are answered OK. */
  readonly allowBefore: ReadonlySet<string>;
}

export interface DispatchPorts extends RecordingPorts {
  /** Asks the upstream handler, if there is one. */
  forward?(callback: ReceivedCallback): Promise<Checked<HandlerAnswer>>;
}

/** Records the commands that become events; forwards, acknowledges or refuses all others. */
export function dispatch(settings: DispatchSettings, ports: DispatchPorts): Handler<ReceiverEnv> {
  const record = createRecording(settings, ports);
  const recordOwn = (context: ReceiverContext, command: Command) =>
    record(command, context.get('query'), context.get('body'), context.get('trace'));

  async function forward(context: ReceiverContext): Promise<Checked<HandlerAnswer>> {
    const [target, body, caller] = [context.get('target'), context.get('body'), context.get('caller')];
    const headers = context.env.incoming.rawHeaders;
    const answer = (await ports.forward?.({ target, headers, body, caller })) ?? NO_HANDLER;
    if (!answer.ok) {
      ports.signals.emit('forward.failed', { command: context.get('label'), fault: answer.fault });
    }
    return answer;
  }

  async function recordAndForward(context: ReceiverContext, command: Command): Promise<Response> {
    const [recorded, answer] = await Promise.all([recordOwn(context, command), forward(context)]);
    if (!recorded.ok) return refuse(context, recorded.fault);
    // A recorded callback is answered OK even if the upstream handler fails: the service would not send it again.
    return answer.ok ? relay(context, recorded.value, answer.value) : acknowledge(context, recorded.value);
  }

  return async (context) => {
    const command = COMMANDS.get(context.get('query').command);
    if (command === undefined) {
      if (settings.otherCommands !== 'forward') return answerOther(context, settings);
      const answer = await forward(context);
      return answer.ok ? relay(context, 'forwarded', answer.value) : refuse(context, answer.fault);
    }
    if (settings.forwardAll) return recordAndForward(context, command);
    const recorded = await recordOwn(context, command);
    return recorded.ok ? acknowledge(context, recorded.value) : refuse(context, recorded.fault);
  };
}

const NO_HANDLER = refused({ code: 'internal', message: 'there is no handler to forward to' });

function answerOther(context: ReceiverContext, settings: DispatchSettings): Response {
  const { command } = context.get('query');
  const body = parseBody(context.get('body'));
  const fault = body.ok ? (checkCommand(command, body.value) ?? checkOther(command, settings)) : body.fault;
  return fault === undefined ? acknowledge(context, 'acknowledged') : refuse(context, fault);
}

function checkOther(command: string, { otherCommands, allowBefore }: DispatchSettings): HttpFault | undefined {
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
