/** The values that the receiver's middlewares hand on with a request, and the answers they share. */
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import type { CanonicalEvent } from '../model/event.ts';
import { type Fault, type HttpFault, httpStatus } from '../model/fault.ts';
import type { CallbackOutcome } from '../model/signal.ts';
import { failEnvelope, OK_ENVELOPE } from './envelope.ts';
import type { HandlerAnswer } from './forward.ts';
import type { CommandQuery } from './query.ts';

export interface ReceiverEnv {
  Bindings: HttpBindings;
  Variables: {
    trace: CallbackTrace | undefined;
    /** The command as a metric's label: bounded, whatever is sent. */
    label: string;
    /** The request target as it stands in the request line. */
    target: string;
    /** The address of whoever calls, seen through our own proxies. */
    caller: string | undefined;
    /** The query as parsed; it names a command. */
    query: CommandQuery;
    /** The body as received. */
    body: Uint8Array;
    outcome: CallbackOutcome;
    /** Set when the outcome is refused or failed. */
    fault?: HttpFault;
  };
}
export type ReceiverContext = Context<ReceiverEnv>;

/** The span of one callback. */
export interface CallbackTrace {
  /** Runs the work that belongs to the span. */
  within<T>(work: () => T): T;
  /** Returns the event with the context of the span in it; its id stays the same. */
  carriedBy(event: CanonicalEvent): CanonicalEvent;
  end(answered: { command: string; outcome: string; status: number; fault?: Fault | undefined }): void;
}

/** Answers OK. */
export function acknowledge(context: ReceiverContext, outcome: CallbackOutcome): Response {
  context.set('outcome', outcome);
  return new Response(OK_ENVELOPE, { status: 200, headers: { 'content-type': 'application/json' } });
}

/** Answers with the fault in the envelope; the bridge's own trouble (503) counts as failed, all else as refused. */
export function refuse(context: ReceiverContext, fault: HttpFault): Response {
  const status = httpStatus(fault.code);
  context.set('outcome', status === 503 ? 'failed' : 'refused');
  context.set('fault', fault);
  // An unread rest of the body would be taken for the next request.
  if (!context.env.incoming.complete) context.header('connection', 'close');
  return context.body(failEnvelope(fault), status, { 'content-type': 'application/json' });
}

/** Answers what the upstream handler said. */
export function relay(context: ReceiverContext, outcome: CallbackOutcome, answer: HandlerAnswer): Response {
  context.set('outcome', outcome);
  const { status, body } = answer;
  const headers = new Headers();
  for (const [name, value] of answer.headers) headers.append(name, value);
  const empty = status === 204 || status === 205 || status === 304;
  return new Response(empty ? null : new Uint8Array(body), { status, headers });
}
