import { randomUUID } from 'node:crypto';
import type { BlockList } from 'node:net';
import type { HttpBindings } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import type { Clock } from '../canon/clock.ts';
import type { CanonicalEvent } from '../canon/event.ts';
import { BridgeError, type Fault, type HttpFault, httpStatus, messageOf } from '../canon/fault.ts';
import type { CallbackOutcome, SignalBus } from '../canon/signal.ts';
import { checkAddress, readBytes } from './admission.ts';
import { checkSign } from './authentication.ts';
import { asksForLeave, type CallbackQuery, commandLabel, readBody, readCallback, readQuery } from './callback.ts';
import { COMMANDS } from './commands.ts';
import { failEnvelope, OK_ENVELOPE } from './envelope.ts';
import { mapCallback } from './mapping.ts';

export interface ReceiverSettings {
  readonly sdkAppId: string;
  readonly callbackTokens?: readonly string[] | undefined;
  readonly path: string;
  readonly maxBodyBytes: number;
  readonly allowed?: BlockList | undefined;
  readonly otherCommands: 'acknowledge' | 'reject';
  /** What to do when the journal cannot record: hold the answer past the service's time-out, or fail at once. */
  readonly whenUnrecordable: 'hold' | 'fail';
}

export interface ReceiverPorts {
  /** Resolves once the event is on disk; throws a BridgeError when it cannot be. */
  record(event: CanonicalEvent): Promise<'recorded' | 'duplicate'>;
  /** Keeps a verified callback that cannot be mapped; resolves once it is on disk. */
  quarantine(callback: { receivedAt: number; search: string; body: string; fault: Fault }): Promise<void>;
  readonly clock: Clock;
  readonly signals: SignalBus;
  /** True from SIGTERM on: answers then end their connections. */
  stopping(): boolean;
}

type Verdict = { readonly outcome: 'recorded' | 'duplicate' | 'quarantined' | 'acknowledged' } | HttpFault;

/** The service gives up after 2 s. */
const HOLD_MS = 2_500;
const MAX_HELD = 1_000;

type Env = { Bindings: HttpBindings };

/** `POST {path}`: admit, authenticate, parse, map, record, answer. */
export function createReceiver(settings: ReceiverSettings, ports: ReceiverPorts): Hono<Env> {
  const { clock, signals } = ports;

  async function judge(context: Context<Env>, seen: { command?: string }): Promise<Verdict> {
    const refusedPeer = checkAddress(context.env.incoming.socket.remoteAddress, settings.allowed);
    if (refusedPeer !== undefined) return refusedPeer;

    const url = context.req.url;
    const queryStart = url.indexOf('?');
    const read = readQuery(queryStart < 0 ? '' : url.slice(queryStart + 1));
    if (!read.ok) return read.fault;
    const query = read.value;
    if (query.command !== undefined) seen.command = query.command;

    if (query.sdkAppId !== settings.sdkAppId) {
      return {
        code: 'app-mismatch',
        path: 'SdkAppid',
        message: query.sdkAppId === undefined ? 'SdkAppid is missing in the query' : 'SdkAppid is not that of this app',
        suggestion: 'compare app.sdkAppId with the vendor’s console',
      };
    }
    if (settings.callbackTokens !== undefined) {
      const refusedSign = checkSign(query, settings.callbackTokens, clock.now());
      if (refusedSign !== undefined) return refusedSign;
    }
    if (query.command === undefined || query.command === '') {
      return { code: 'query-invalid', path: 'CallbackCommand', message: 'CallbackCommand is missing in the query' };
    }

    const bytes = await readBytes(context.req.raw, settings.maxBodyBytes);
    if (!bytes.ok) return bytes.fault;
    const body = readBody(bytes.value);
    if (!body.ok) return body.fault;

    const named = body.value.CallbackCommand;
    if (named !== undefined && named !== query.command) {
      return {
        code: 'command-mismatch',
        path: 'CallbackCommand',
        message: 'the query and the body name different commands',
      };
    }
    if (!COMMANDS.has(query.command)) return judgeOther(query.command);

    const callback = readCallback(query.command, body.value);
    if (!callback.ok) {
      if (settings.callbackTokens === undefined) return callback.fault;
      // It comes from the service, so the protocol has changed: kept as it came, nothing is lost.
      const kept = {
        receivedAt: clock.now(),
        search: withoutSign(query),
        body: Buffer.from(bytes.value).toString(),
        fault: callback.fault,
      };
      await recordOrHold(() => ports.quarantine(kept));
      signals.emit('callback.quarantined', { fault: callback.fault });
      return { outcome: 'quarantined' };
    }
    const receipt = { at: clock.now(), nonce: randomUUID() };
    const event = mapCallback(settings.sdkAppId, query, callback.value, receipt);
    if ('EventTime' in event.data.extra) {
      signals.emit('callback.clock-ahead', {
        groupId: event.data.groupId,
        aheadMs: Number(callback.value.body.EventTime) - receipt.at,
      });
    }
    // Invariant 1: OK is answered only once the event is on disk.
    return { outcome: await recordOrHold(() => ports.record(event)) };
  }

  let held = 0;

  /**
   * An error answer brings nothing back, while a time-out is retried where the console's switch is on: so the answer is
   * held past the service's time-out, for a bounded number of callbacks. Then once more: there may be room again.
   */
  async function recordOrHold<T>(record: () => Promise<T>): Promise<T> {
    try {
      return await record();
    } catch (thrown) {
      if (settings.whenUnrecordable === 'fail' || held >= MAX_HELD || ports.stopping()) throw thrown;
      held++;
      try {
        await clock.sleep(HOLD_MS);
      } finally {
        held--;
      }
      return await record();
    }
  }

  function judgeOther(command: string): Verdict {
    if (asksForLeave(command)) {
      return {
        code: 'command-refused',
        path: 'CallbackCommand',
        message: `${command} asks for leave, which this bridge does not give`,
        suggestion: 'switch it off in the vendor’s console',
      };
    }
    if (settings.otherCommands === 'acknowledge') return { outcome: 'acknowledged' };
    return {
      code: 'command-refused',
      path: 'CallbackCommand',
      message: `${command} is not handled here`,
      suggestion: 'switch it off in the vendor’s console, or set receiver.otherCommands to acknowledge',
    };
  }

  function answer(context: Context<Env>, verdict: Verdict): Response {
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    // A body that was not read to its end leaves the connection in the middle of a request.
    if (ports.stopping() || ('code' in verdict && !context.env.incoming.complete)) headers.connection = 'close';
    if (!('code' in verdict)) return context.body(OK_ENVELOPE, 200, headers);
    const status = httpStatus(verdict.code);
    if (status === 405) headers.allow = 'POST';
    return context.body(failEnvelope(verdict), status, headers);
  }

  const app = new Hono<Env>();
  app.post(settings.path, async (context) => {
    const start = performance.now();
    const seen: { command?: string } = {};
    let verdict: Verdict;
    let outcome: CallbackOutcome;
    try {
      verdict = await judge(context, seen);
      outcome = 'code' in verdict ? 'refused' : verdict.outcome;
    } catch (thrown) {
      verdict = asHttpFault(thrown);
      outcome = 'failed';
      if (verdict.code === 'internal') signals.emit('callback.crashed', { message: messageOf(thrown) });
    }
    const ms = performance.now() - start;
    const command = commandLabel(seen.command);
    signals.emit('callback.answered', { command, outcome, ms, ...('code' in verdict && { fault: verdict }) });
    return answer(context, verdict);
  });
  app.all(settings.path, (context) =>
    answer(context, { code: 'method-unknown', message: `${context.req.method} is not answered here, POST is` }),
  );
  app.notFound((context) =>
    answer(context as Context<Env>, {
      code: 'path-unknown',
      message: 'nothing is here',
      suggestion: 'compare receiver.path with the callback URL in the vendor’s console',
    }),
  );
  app.onError((thrown, context) => answer(context, asHttpFault(thrown)));
  return app;
}

/** What of the query a kept callback needs to be mapped: its Sign would only be a secret to keep. */
function withoutSign({ sign: _, requestTime: __, ...query }: CallbackQuery): string {
  const names = {
    sdkAppId: 'SdkAppid',
    command: 'CallbackCommand',
    clientIp: 'ClientIP',
    platform: 'OptPlatform',
    requestId: 'RequestID',
  };
  const kept = Object.entries(names).flatMap(([key, name]) => {
    const value = query[key as keyof typeof names];
    return value === undefined ? [] : [[name, value] as const];
  });
  return new URLSearchParams(Object.fromEntries(kept)).toString();
}

function asHttpFault(thrown: unknown): HttpFault {
  if (thrown instanceof BridgeError) {
    const { code, message } = thrown.fault;
    // Paths of this machine are none of the caller's business: only the code and the message go out.
    if (code === 'journal-unwritable' || code === 'journal-unusable' || code === 'stopping') return { code, message };
  }
  return { code: 'internal', message: 'the callback could not be handled' };
}
