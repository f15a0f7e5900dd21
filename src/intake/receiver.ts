import { randomUUID } from 'node:crypto';
import type { BlockList } from 'node:net';
import type { HttpBindings } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import type { Clock } from '../model/clock.ts';
import type { CanonicalEvent } from '../model/event.ts';
import { BridgeError, type Checked, type Fault, type HttpFault, httpStatus, messageOf } from '../model/fault.ts';
import type { CallbackOutcome, SignalBus } from '../model/signal.ts';
import { type CallbackTrace, traceCallback } from '../telemetry/trace.ts';
import { callerOf, checkAddress, createBodyReader } from './admission.ts';
import { checkSign, type SignSettings } from './authentication.ts';
import { type CallbackQuery, commandLabel, readBody, readCallback, readQuery } from './callback.ts';
import { asksForLeave } from './command.ts';
import { COMMANDS } from './commands.ts';
import { createHolding } from './deferred-answer.ts';
import { failEnvelope, OK_ENVELOPE } from './envelope.ts';
import type { Arrived, HandlerAnswer } from './forward.ts';
import { mapCallback } from './mapping.ts';

export interface ReceiverSettings {
  readonly sdkAppId: string;
  /** Without it nothing is asked for. */
  readonly sign?: SignSettings | undefined;
  readonly path: string;
  readonly maxBodyBytes: number;
  readonly maxInFlight: number;
  readonly allowed?: BlockList | undefined;
  /** Whose X-Forwarded-For is believed. */
  readonly proxies?: BlockList | undefined;
  readonly otherCommands: 'acknowledge' | 'reject' | 'forward';
  /** With `forward`: the commands that are recorded are forwarded, too. */
  readonly forwardAll: boolean;
  /** "Before" commands that are answered OK. */
  readonly allowBefore: ReadonlySet<string>;
  /** What to do when the journal cannot record: hold the answer past the service's time-out, or fail at once. */
  readonly whenUnrecordable: 'hold' | 'fail';
}

export interface ReceiverPorts {
  /** Resolves once the event is on disk; throws a BridgeError when it cannot be. */
  record(event: CanonicalEvent): Promise<'recorded' | 'duplicate'>;
  /** Keeps a verified callback that cannot be mapped; resolves once it is on disk. */
  quarantine(callback: { receivedAt: number; search: string; body: string; fault: Fault }): Promise<void>;
  /** Asks the handler behind the bridge, where there is one. */
  forward?(callback: Arrived): Promise<Checked<HandlerAnswer>>;
  readonly clock: Clock;
  readonly signals: SignalBus;
  /** True from SIGTERM on: answers then end their connections. */
  stopping(): boolean;
}

/** What is answered, and why: OK, what the handler behind the bridge said, or a fault. */
type Verdict = { readonly outcome: Accepted; readonly answer?: HandlerAnswer } | HttpFault;
type Accepted = Exclude<CallbackOutcome, 'refused' | 'failed'>;

/** A callback that was let in: its query is that of this app, and signed where that is asked for. */
type Admitted = {
  readonly query: CallbackQuery & { readonly command: string };
  readonly arrived: Arrived;
  readonly trace: CallbackTrace | undefined;
};

type Env = { Bindings: HttpBindings };

/** `POST {path}`: admit, authenticate, parse, map, record, answer. */
export function createReceiver(settings: ReceiverSettings, ports: ReceiverPorts): Hono<Env> {
  const { clock, signals } = ports;
  const recordOrHold = createHolding(settings.whenUnrecordable, ports);
  const readBytes = createBodyReader(settings.maxBodyBytes);
  let inFlight = 0;
  const unique = randomUUID();
  let receipts = 0;

  async function judge(
    context: Context<Env>,
    seen: { command?: string },
    trace: CallbackTrace | undefined,
  ): Promise<Verdict> {
    const { socket, headers, rawHeaders, url: target = '' } = context.env.incoming;
    const caller = callerOf(socket.remoteAddress, headers['x-forwarded-for']?.toString(), settings.proxies);
    const refusedCaller = checkAddress(caller, settings.allowed);
    if (refusedCaller !== undefined) return refusedCaller;

    const queryStart = target.indexOf('?');
    const search = queryStart < 0 ? '' : target.slice(queryStart + 1);
    const read = readQuery(search);
    if (!read.ok) return read.fault;
    const query = read.value;
    if (query.command !== undefined) seen.command = query.command;
    const refusedQuery = checkQuery(query);
    if (refusedQuery !== undefined) return refusedQuery;
    const { command } = query;
    if (command === undefined || command === '') {
      return { code: 'query-invalid', path: 'CallbackCommand', message: 'CallbackCommand is missing in the query' };
    }

    const bytes = await readBytes(context.req.raw, headers['content-length']);
    if (!bytes.ok) return bytes.fault;
    const path = queryStart < 0 ? target : target.slice(0, queryStart);
    const arrived = { method: 'POST', path, search, headers: rawHeaders, body: bytes.value, caller };

    // Counted from here on: those who are slow to send must not take the places of those who wait for an answer.
    if (inFlight >= settings.maxInFlight) {
      return {
        code: 'overloaded',
        message: `${settings.maxInFlight} callbacks wait for their answer already`,
        suggestion: 'look at the disk of journal.file; receiver.maxInFlight sets the limit',
      };
    }
    inFlight++;
    try {
      return await (COMMANDS.has(command)
        ? judgeOwn({ query: { ...query, command }, arrived, trace })
        : judgeOther({ query: { ...query, command }, arrived, trace }));
    } finally {
      inFlight--;
    }
  }

  function checkQuery(query: CallbackQuery): HttpFault | undefined {
    if (query.sdkAppId !== settings.sdkAppId) {
      return {
        code: 'app-mismatch',
        path: 'SdkAppid',
        message: query.sdkAppId === undefined ? 'SdkAppid is missing in the query' : 'SdkAppid is not that of this app',
        suggestion: 'compare app.sdkAppId with the vendor’s console',
      };
    }
    return settings.sign === undefined ? undefined : checkSign(query, settings.sign, clock.now());
  }

  /** A command that becomes an event. */
  function judgeOwn(admitted: Admitted): Promise<Verdict> {
    return settings.forwardAll ? recordAndForward(admitted) : recordOwn(admitted);
  }

  async function recordAndForward(admitted: Admitted): Promise<Verdict> {
    const [verdict, handled] = await Promise.all([recordOwn(admitted), askHandler(admitted)]);
    // What is recorded is answered OK even where the handler has nothing to say: the service takes no interest in it.
    return 'code' in verdict || !handled?.ok ? verdict : { ...verdict, answer: handled.value };
  }

  async function recordOwn({ query, arrived, trace }: Admitted): Promise<Verdict> {
    const body = readBody(arrived.body);
    if (!body.ok && body.fault.code === 'not-json') return body.fault;
    const refusedName = body.ok ? checkName(query.command, body.value) : undefined;
    if (refusedName !== undefined) return refusedName;

    const callback = body.ok ? readCallback(query.command, body.value) : body;
    if (!callback.ok) {
      if (settings.sign === undefined) return callback.fault;
      // It comes from the service, so the protocol has changed: kept as it came, nothing is lost.
      const kept = {
        receivedAt: clock.now(),
        search: withoutSign(query),
        body: Buffer.from(arrived.body).toString(),
        fault: callback.fault,
      };
      await recordOrHold(() => ports.quarantine(kept));
      signals.emit('callback.quarantined', { fault: callback.fault });
      return { outcome: 'quarantined' };
    }
    const receipt = { at: clock.now(), nonce: `${unique}/${++receipts}` };
    const event = mapCallback(settings.sdkAppId, query, callback.value, receipt);
    if ('EventTime' in event.data.extra) {
      signals.emit('callback.clock-ahead', {
        groupId: event.data.groupId,
        aheadMs: Number(callback.value.body.EventTime) - receipt.at,
      });
    }
    const traced = trace?.carriedBy(event) ?? event;
    // Invariant 1: OK is answered only once the event is on disk.
    return { outcome: await recordOrHold(() => ports.record(traced)) };
  }

  /** A command that is none of the bridge's business. */
  async function judgeOther(admitted: Admitted): Promise<Verdict> {
    const { command } = admitted.query;
    if (settings.otherCommands === 'forward') {
      const handled = await askHandler(admitted);
      if (handled?.ok) return { outcome: 'forwarded', answer: handled.value };
      return handled?.fault ?? { code: 'internal', message: 'there is no handler to forward to' };
    }
    const body = readBody(admitted.arrived.body);
    if (!body.ok) return body.fault;
    const refusedName = checkName(command, body.value);
    if (refusedName !== undefined) return refusedName;

    if (asksForLeave(command)) {
      if (settings.allowBefore.has(command)) return { outcome: 'acknowledged' };
      return {
        code: 'command-refused',
        path: 'CallbackCommand',
        message: `${command} asks for leave, which this bridge does not give`,
        suggestion:
          'switch it off in the vendor’s console, forward it (receiver.otherCommands.forwardTo), or allow it unseen (receiver.allowBefore)',
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

  async function askHandler({ query, arrived }: Admitted): Promise<Checked<HandlerAnswer> | undefined> {
    const handled = await ports.forward?.(arrived);
    if (handled?.ok === false) {
      signals.emit('callback.unforwarded', { command: commandLabel(query.command), fault: handled.fault });
    }
    return handled;
  }

  function answer(context: Context<Env>, verdict: Verdict): Response {
    const headers: Record<string, string> = {};
    // A body that was not read to its end leaves the connection in the middle of a request.
    if (ports.stopping() || ('code' in verdict && !context.env.incoming.complete)) headers.connection = 'close';
    if (!('code' in verdict) && verdict.answer !== undefined) return relayed(verdict.answer, headers);
    headers['content-type'] = 'application/json';
    if (!('code' in verdict)) return new Response(OK_ENVELOPE, { status: 200, headers });
    const status = httpStatus(verdict.code);
    if (status === 405) headers.allow = 'POST';
    return context.body(failEnvelope(verdict), status, headers);
  }

  const app = new Hono<Env>();
  app.post(settings.path, async (context) => {
    const start = performance.now();
    const seen: { command?: string } = {};
    const trace = traceCallback(context.env.incoming.headers, settings.path);
    let verdict: Verdict;
    let outcome: CallbackOutcome;
    try {
      verdict = await (trace?.within(() => judge(context, seen, trace)) ?? judge(context, seen, trace));
      outcome = 'code' in verdict ? (isFailure(verdict) ? 'failed' : 'refused') : verdict.outcome;
    } catch (thrown) {
      verdict = asHttpFault(thrown);
      outcome = 'failed';
      if (verdict.code === 'internal') signals.emit('callback.crashed', { message: messageOf(thrown) });
    }
    const ms = performance.now() - start;
    const command = commandLabel(seen.command);
    signals.emit('callback.answered', { command, outcome, ms, ...('code' in verdict && { fault: verdict }) });
    const response = answer(context, verdict);
    trace?.end({ command, outcome, status: response.status, fault: 'code' in verdict ? verdict : undefined });
    return response;
  });
  // No route of its own for other methods: with two routes for one path Hono makes a chain of each request.
  app.notFound((context) =>
    answer(
      context as Context<Env>,
      context.req.path === settings.path
        ? { code: 'method-unknown', message: `${context.req.method} is not answered here, POST is` }
        : {
            code: 'path-unknown',
            message: 'nothing is here',
            suggestion: 'compare receiver.path with the callback URL in the vendor’s console',
          },
    ),
  );
  app.onError((thrown, context) => answer(context, asHttpFault(thrown)));
  return app;
}

/** The query says which command it is; a body that says another one is not the protocol. */
function checkName(command: string, { CallbackCommand: named }: Record<string, unknown>): HttpFault | undefined {
  if (named === undefined || named === command) return undefined;
  return {
    code: 'command-mismatch',
    path: 'CallbackCommand',
    message: 'the query and the body name different commands',
  };
}

/** Of the bridge, or what is behind it: the caller did nothing wrong. */
function isFailure(fault: HttpFault): boolean {
  return httpStatus(fault.code) === 503;
}

function relayed({ status, headers: named, body }: HandlerAnswer, own: Record<string, string>): Response {
  const headers = new Headers(own);
  for (const [name, value] of named) headers.append(name, value);
  const empty = status === 204 || status === 205 || status === 304;
  return new Response(empty ? null : new Uint8Array(body), { status, headers });
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
