import type { Handler } from 'hono';
import { isBeforeCallback } from '../model/command.ts';
import { type Checked, type HttpFault, refused } from '../model/fault.ts';
import { parseBody } from './body.ts';
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
import { checkCommand, createRecording } from './recording.ts';

/** Records the commands that become events; forwards, acknowledges or refuses all others. */
export function dispatch(settings: ReceiverSettings, ports: ReceiverPorts): Handler<ReceiverEnv> {
  const record = createRecording(settings, ports);

  async function forward(context: ReceiverContext): Promise<Checked<HandlerAnswer>> {
    const [target, body, caller] = [context.get('target'), context.get('body'), context.get('caller')];
    const headers = context.env.incoming.headersDistinct;
    const answer = (await ports.forward?.({ target, headers, body, caller })) ?? NO_HANDLER;
    if (!answer.ok) {
      ports.signals.emit('forward.failed', { command: context.get('label'), fault: answer.fault });
    }
    return answer;
  }

  async function recordAndForward(context: ReceiverContext, command: Command): Promise<Response> {
    const [recorded, answer] = await Promise.all([record(context, command), forward(context)]);
    if (!recorded.ok) return refuse(context, recorded.fault);
    // A recorded callback is answered OK even if the upstream handler fails: the service would not send it again.
    return answer.ok ? relay(context, recorded.value, answer.value) : acknowledge(context, recorded.value);
  }

  return async (context) => {
    const command = COMMANDS.get(context.get('command'));
    if (command === undefined) {
      if (settings.otherCommands !== 'forward') return answerOther(context, settings);
      const answer = await forward(context);
      return answer.ok ? relay(context, 'forwarded', answer.value) : refuse(context, answer.fault);
    }
    if (settings.forwardAll) return recordAndForward(context, command);
    const recorded = await record(context, command);
    return recorded.ok ? acknowledge(context, recorded.value) : refuse(context, recorded.fault);
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
