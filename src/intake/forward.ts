import { Agent, type ClientRequest, type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import type { Config } from '../config/schema.ts';
import { readAuthority } from '../http/certificate.ts';
import { hostOf } from '../model/address.ts';
import { readAtMost } from '../model/bounded.ts';
import { accepted, type Checked, messageOf, refused } from '../model/fault.ts';

// node:http instead of hono/proxy, whose fetch unpacks a gzipped answer and merges header lines.

export type ForwardSettings = Omit<Exclude<Config['receiver']['otherCommands'], string>, 'forwardAll'>;

export interface ReceivedCallback {
  readonly path: string;
  readonly search: string;
  readonly headers: IncomingMessage['headersDistinct'];
  readonly body: Uint8Array;
  /** The last address in X-Forwarded-For. */
  readonly caller: string | undefined;
}

/** The upstream handler's answer, byte for byte. */
export interface HandlerAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer<ArrayBuffer>;
}

/** Headers of one connection (RFC 9110, 7.6.1) and, on the last line, those that this hop sets itself. */
const NOT_FORWARDED = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization'],
  ...['te', 'trailer', 'transfer-encoding', 'upgrade'],
  ...['host', 'content-length', 'expect'],
]);

/** Answers are one short JSON object. */
const MAX_ANSWER_BYTES = 1_048_576;
const MAX_SOCKETS = 256;

/** Sends callbacks to the upstream handler that answered them before the bridge did, and returns its answers. */
export function createForwarder({ forwardTo, timeoutMs, caFile }: ForwardSettings) {
  const upstream = new URL(forwardTo);
  const secure = upstream.protocol === 'https:';
  const ca = caFile && readAuthority('receiver.otherCommands.caFile', caFile);
  const sockets = { keepAlive: true, maxSockets: MAX_SOCKETS, ca };
  const agent = secure ? new TlsAgent(sockets) : new Agent(sockets);

  const send = (callback: ReceivedCallback, signal: AbortSignal): Promise<HandlerAnswer> =>
    new Promise((resolve, reject) => {
      const { path, search } = callback;
      const pathname = upstream.pathname === '/' ? path : upstream.pathname;
      const options = {
        agent,
        signal,
        method: 'POST',
        host: hostOf(upstream),
        port: upstream.port,
        path: search === '' ? pathname : `${pathname}?${search}`,
        headers: headersFor(callback, upstream.host),
      };
      // Node ends some exchanges silently: the time-out applies in any case.
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      let goesOn = false;
      const call: ClientRequest = (secure ? tlsRequest : request)(options, (answer) => {
        goesOn = true;
        readAnswer(answer).then(resolve, reject);
      });
      call.on('upgrade', (_, socket) => {
        socket.destroy();
        reject(new Error('it answers 101, and nothing was to be upgraded'));
      });
      call.on('close', () => {
        if (!goesOn) reject(new Error('it ended the connection without an answer'));
      });
      call.on('error', (error: NodeJS.ErrnoException) => {
        // The upstream closed a kept connection just as it was reused: it handled nothing.
        const again = call.reusedSocket && error.code === 'ECONNRESET' && !goesOn && !signal.aborted;
        if (!again) return reject(error);
        goesOn = true;
        send(callback, signal).then(resolve, reject);
      });
      call.end(callback.body);
    });

  return {
    /** Never rejects: a missing answer is a fault. */
    async forward(callback: ReceivedCallback): Promise<Checked<HandlerAnswer>> {
      const signal = AbortSignal.timeout(timeoutMs);
      try {
        return accepted(await send(callback, signal));
      } catch (thrown) {
        const what = signal.aborted ? `did not answer within ${timeoutMs} ms` : `cannot be asked: ${messageOf(thrown)}`;
        return refused({
          code: 'forward-failed',
          path: 'receiver.otherCommands.forwardTo',
          message: `the upstream handler ${what}`,
          suggestion: 'see that it runs, and how long it takes',
        });
      }
    },
    /** Closes idle connections now, and busy ones once they are answered. */
    close(): void {
      agent.maxFreeSockets = 0;
      for (const socket of Object.values(agent.freeSockets).flat()) socket?.destroy();
    },
  };
}

function headersFor({ headers, caller, body }: ReceivedCallback, host: string): OutgoingHttpHeaders {
  const sent: OutgoingHttpHeaders = { ...forwarded(headers), host, 'content-length': body.byteLength };
  const hops = [...(headers['x-forwarded-for'] ?? []), ...(caller === undefined ? [] : [caller])];
  if (hops.length > 0) sent['x-forwarded-for'] = hops.join(', ');
  return sent;
}

function forwarded(headers: IncomingMessage['headersDistinct']): IncomingMessage['headersDistinct'] {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !NOT_FORWARDED.has(name)));
}

async function readAnswer(answer: IncomingMessage): Promise<HandlerAnswer> {
  const { statusCode: status = 0 } = answer;
  if (status < 200 || status > 599) {
    answer.destroy();
    throw new Error(`it answers with the status ${status}`);
  }
  const body = await readAtMost(MAX_ANSWER_BYTES, answer);
  if (body === undefined) throw new Error(`its answer is larger than ${MAX_ANSWER_BYTES} bytes`);
  const headers = new Headers();
  for (const [name, values = []] of Object.entries(forwarded(answer.headersDistinct))) {
    for (const value of values) headers.append(name, value);
  }
  return { status, headers, body };
}
