import { Agent, type ClientRequest, type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import { accepted, type Checked, messageOf, refused } from '../model/fault.ts';

export interface ForwardSettings {
  /** Without a path of its own the handler is asked on that of the callback. */
  readonly forwardTo: string;
  /** For the whole exchange. */
  readonly timeoutMs: number;
  /** PEM: the authority of the handler's certificate; the system's ones when left out. */
  readonly ca?: string | undefined;
}

/** A callback as it came. */
export interface Arrived {
  readonly method: string;
  readonly path: string;
  /** Behind `?`, Sign included. */
  readonly search: string;
  /** Names and values in turn, as in `IncomingMessage.rawHeaders`. */
  readonly headers: readonly string[];
  readonly body: Uint8Array;
  /** Who sent it, for X-Forwarded-For. */
  readonly caller: string | undefined;
}

/** What the handler answered, byte for byte; header names and values in turn. */
export interface HandlerAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

export interface Forwarder {
  /** Never throws: no answer in time is a fault. */
  forward(callback: Arrived): Promise<Checked<HandlerAnswer>>;
  close(): void;
}

/** Of one connection, not of the message (RFC 9110, 7.6.1); the others describe what this hop sets itself. */
const NOT_FORWARDED = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization'],
  ...['te', 'trailer', 'transfer-encoding', 'upgrade'],
  ...['host', 'content-length', 'expect'],
]);

/** Answers are one short JSON object. */
const MAX_ANSWER_BYTES = 1_048_576;
const MAX_SOCKETS = 256;

/** Hands callbacks to the handler that answered them before the bridge was there, and brings back what it says. */
export function createForwarder({ forwardTo, timeoutMs, ca }: ForwardSettings): Forwarder {
  const target = new URL(forwardTo);
  const secure = target.protocol === 'https:';
  const agent = secure
    ? new TlsAgent({ keepAlive: true, maxSockets: MAX_SOCKETS, ...(ca !== undefined && { ca }) })
    : new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS });

  const failed = (message: string) =>
    refused({
      code: 'forward-failed',
      path: 'receiver.otherCommands.forwardTo',
      message: `the handler behind the bridge ${message}`,
      suggestion: 'see that it runs, and how long it takes',
    });

  const send = (callback: Arrived, signal: AbortSignal): Promise<HandlerAnswer> =>
    new Promise((resolve, reject) => {
      const path = target.pathname === '/' ? callback.path : target.pathname;
      const options = {
        agent,
        signal,
        method: callback.method,
        host: target.hostname.replace(/^\[|\]$/g, ''),
        port: target.port,
        path: callback.search === '' ? path : `${path}?${callback.search}`,
        headers: headersFor(callback, target.host),
      };
      const call: ClientRequest = (secure ? tlsRequest : request)(options, (answer) => {
        readAnswer(answer).then(resolve, reject);
      });
      call.on('error', (error: NodeJS.ErrnoException) => {
        // The handler ended a kept connection just when it was used again: nothing was handled.
        const again = call.reusedSocket && error.code === 'ECONNRESET' && !signal.aborted;
        if (again) send(callback, signal).then(resolve, reject);
        else reject(error);
      });
      call.end(callback.body);
    });

  return {
    async forward(callback) {
      const signal = AbortSignal.timeout(timeoutMs);
      try {
        return accepted(await send(callback, signal));
      } catch (thrown) {
        return failed(
          signal.aborted ? `did not answer within ${timeoutMs} ms` : `cannot be asked: ${messageOf(thrown)}`,
        );
      }
    },
    close: () => agent.destroy(),
  };
}

function headersFor(callback: Arrived, host: string): OutgoingHttpHeaders {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of pairs(callback.headers)) {
    const key = name.toLowerCase();
    if (NOT_FORWARDED.has(key)) continue;
    const before = headers[key];
    headers[key] = before === undefined ? value : [before, value].flat();
  }
  const hops = [headers['x-forwarded-for'] ?? [], callback.caller ?? []].flat();
  return {
    ...headers,
    host,
    'content-length': callback.body.byteLength,
    ...(hops.length > 0 && { 'x-forwarded-for': hops.join(', ') }),
  };
}

async function readAnswer(answer: IncomingMessage): Promise<HandlerAnswer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) throw new Error(`its answer is larger than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return {
    status: answer.statusCode ?? 502,
    headers: pairs(answer.rawHeaders).filter(([name]) => !NOT_FORWARDED.has(name.toLowerCase())),
    body: Buffer.concat(chunks),
  };
}

function pairs(raw: readonly string[]): [name: string, value: string][] {
  return raw.flatMap((name, index) => (index % 2 === 0 ? [[name, raw[index + 1] ?? ''] as [string, string]] : []));
}
