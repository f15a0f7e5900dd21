/** What the steps of the receiver share: settings, ports, the variables of a request, and the answers. */
import type { IncomingHttpHeaders } from 'node:http';
import type { BlockList, Socket } from 'node:net';
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import type { Config } from '../config/schema.ts';
import { toAddressList } from '../model/address.ts';
import type { CallbackTrace, RawCallback } from '../model/callback.ts';
import type { Clock } from '../model/clock.ts';
import type { CanonicalEvent } from '../model/event.ts';
import { type Checked, describeFault, type HttpFault, httpStatus } from '../model/fault.ts';
import type { ServiceClock } from '../model/service-clock.ts';
import type { CallbackOutcome, SignalBus } from '../model/signal.ts';
import type { ReceivedBody } from './body.ts';
import type { HandlerAnswer, ReceivedCallback } from './forward.ts';
import type { CallbackQuery } from './request.ts';

export type ReceiverConfig = Pick<Config, 'app' | 'receiver'>;
export type ReceiverSettings = ReturnType<typeof receiverSettings>;

export function receiverSettings({ app, receiver }: ReceiverConfig) {
  const { path, maxBodyBytes, maxInFlight, whenUnrecordable, otherCommands, allowFrom, trustProxy, healthPath } =
    receiver;
  return {
    sdkAppId: app.sdkAppId,
    ...{ path, healthPath, maxBodyBytes, maxInFlight, whenUnrecordable },
    drop: receiver.extra.drop,
    /** Without it no Sign is required. `windowMs` is how far RequestTime may differ from this clock. */
    sign: app.callbackTokens && { tokens: app.callbackTokens, windowMs: app.signWindow },
    allowed: allowFrom && toAddressList(allowFrom),
    rate: rateOf({ app, receiver }),
    /** Whether the addresses published by the service may call, too. */
    allowService: allowFrom?.includes('service') ?? false,
    /** The proxies whose X-Forwarded-For is believed. */
    proxies: trustProxy === false ? undefined : toAddressList(trustProxy),
    /** Whether commands that are not recorded are refused if no upstream handler answers them. */
    rejectsOthers: otherCommands === 'reject',
    forwardAll: typeof otherCommands !== 'string' && otherCommands.forwardAll,
    /** "Before" commands that are answered OK, in lower case: a slip in the case must not forbid what was allowed. */
    allowBefore: new Set(receiver.allowBefore?.map((command) => command.toLowerCase())),
    refuseBefore: receiver.refuseBefore,
  };
}

/** The limit per sender. Without a setting and without a token, one for strangers applies; this machine is exempt. */
function rateOf({ app, receiver }: ReceiverConfig) {
  const { rateLimit } = receiver;
  if (rateLimit === false) return undefined;
  if (rateLimit !== undefined) return { ...rateLimit, local: true };
  return app.callbackTokens === undefined ? { perSecond: 1_000, local: false } : undefined;
}

export interface ReceiverPorts {
  /** Resolves once the event is on disk; rejects with a BridgeError if that fails. */
  record(event: CanonicalEvent): Promise<'recorded' | 'duplicate'>;
  /** Keeps a verified callback that cannot be mapped; resolves once it is on disk. */
  quarantine(callback: RawCallback): Promise<void>;
  forward?(callback: ReceivedCallback): Promise<Checked<HandlerAnswer>>;
  /** Starts the span of a callback; undefined if nothing traces. */
  trace?(headers: IncomingHttpHeaders, route: string): CallbackTrace | undefined;
  readonly clock: Clock;
  /** The service's clock; by default this machine's. */
  readonly service?: ServiceClock;
  readonly signals: SignalBus;
  /** The addresses that the service calls from; undefined while unknown. */
  serviceAddresses?(): BlockList | undefined;
  /** Returns the address of whoever opened the connection, as told by a load balancer; by default the peer's. */
  peerOf?(socket: Socket): string | undefined;
  recording?(): boolean;
  /** True from SIGTERM on. */
  stopping(): boolean;
}

export interface ReceiverEnv {
  Bindings: HttpBindings;
  Variables: {
    trace: CallbackTrace | undefined;
    /** The command as a metric's label: bounded, whatever is sent. */
    label: string;
    /** The query exactly as in the request line. */
    search: string;
    /** The address of the caller, seen through our own proxies. */
    caller: string | undefined;
    query: CallbackQuery;
    /** Empty if the query of a verified sender names none. */
    command: string;
    body: ReceivedBody;
    outcome: CallbackOutcome;
    /** The recorded event. */
    event?: CanonicalEvent;
    /** Set if the outcome is refused or failed. */
    fault?: HttpFault;
  };
}
export type ReceiverContext = Context<ReceiverEnv>;

const OK_ENVELOPE = '{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}';

/** Returns the vendor's envelope of a refusal; ErrorCode is the HTTP status. */
function failEnvelope(fault: HttpFault): string {
  return JSON.stringify({ ActionStatus: 'FAIL', ErrorInfo: describeFault(fault), ErrorCode: httpStatus(fault.code) });
}

/** Returns the envelope for something that is not an HTTP request. */
export const malformedEnvelope = (message: string) => failEnvelope({ code: 'query-invalid', message });

export function acknowledge(context: ReceiverContext, outcome: CallbackOutcome): Response {
  context.set('outcome', outcome);
  endIncomplete(context);
  return new Response(OK_ENVELOPE, { status: 200, headers: { 'content-type': 'application/json' } });
}

/** Ends the connection with the answer if the rest of a body is unread: it would be taken for the next request. */
function endIncomplete(context: ReceiverContext): void {
  if (!context.env.incoming.complete) context.header('connection', 'close');
}

/**
 * Answers with the fault in the envelope; the bridge's own trouble (503) counts as failed, everything else as refused.
 * Only callers who were let in are told what to do about it; the operator finds it in the log.
 */
export function refuse(context: ReceiverContext, fault: HttpFault): Response {
  const status = httpStatus(fault.code);
  context.set('outcome', status === 503 ? 'failed' : 'refused');
  context.set('fault', fault);
  endIncomplete(context);
  const { code, message } = fault;
  const isLetIn = context.get('query') !== undefined;
  return context.body(failEnvelope(isLetIn ? fault : { code, message }), status, {
    'content-type': 'application/json',
  });
}

/** Forbids the action that a "before" command asks about, the way the service expects it. */
export function forbid(context: ReceiverContext, fault: HttpFault): Response {
  context.set('outcome', 'refused');
  context.set('fault', fault);
  return context.json({ ActionStatus: 'OK', ErrorInfo: describeFault(fault), ErrorCode: 1 });
}

export function relay(context: ReceiverContext, outcome: CallbackOutcome, answer: HandlerAnswer): Response {
  context.set('outcome', outcome);
  const { status, headers, body } = answer;
  const empty = status === 204 || status === 205 || status === 304;
  return new Response(empty ? null : new Uint8Array(body), { status, headers });
}
