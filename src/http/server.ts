import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import { urlHost } from '../model/address.ts';
import { timerMs } from '../model/clock.ts';
import { BridgeError, type FaultCode, messageOf } from '../model/fault.ts';
import type { SignalBus } from '../model/signal.ts';
import type { Certificate } from './certificate.ts';
import { limitConnections } from './connections.ts';
import { expectProxyHeaders, V2 } from './proxy-protocol.ts';

type Fetch = Parameters<typeof getRequestListener>[0];

const SERVER_OPTIONS: ServerOptions = {
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  connectionsCheckingInterval: 2_000,
  // Node would refuse a request without Host with an empty body; `listen` answers it instead.
  requireHostHeader: false,
};
const HANDSHAKE_MS = 10_000;
/** Answers wait in memory for those before them. Clients, and browsers, send one request after the other. */
const MOST_UNANSWERED = 40;
/** How long a connection may stay after its last answer if Node does not look after it. */
const GIVEN_UP_MS = 1_000;
/** Headers of the answer to something that is no HTTP request. */
const CLOSING = {
  'content-type': 'application/json',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  connection: 'close',
};

export interface Malformed {
  readonly peer: string;
  /** Why it is no request, with what its first bytes reveal. */
  readonly why: string;
}

interface ListenOptions {
  /** The section of the configuration for this server, which faults and limits refer to. */
  readonly section: 'receiver' | 'admin';
  readonly host: string;
  /** With 0 the system chooses a free port. */
  readonly port: number;
  /** Returns the JSON body of the 400 for something that is no HTTP request; `why` is a sentence for people. */
  malformedBody(why: string): string;
  /** A new connection beyond these takes the place of the one that has been idle longest. */
  readonly maxConnections: number;
  /** Milliseconds after which an idle connection is closed. */
  readonly keepAliveMs: number;
  /** Milliseconds after which a connection is closed if its client reads no more of an answer; by default never. */
  readonly stalledMs?: number;
  readonly signals: SignalBus;
  /** Which addresses are load balancers that begin each connection with a PROXY header; by default none. */
  readonly isProxy?: ((address: string | undefined) => boolean) | undefined;
  /** Serves HTTPS with this certificate; if it holds a `ca`, callers must show a certificate, too. */
  readonly certificate?: Certificate | undefined;
  /** Called when something that is no HTTP request came to the port; anybody can cause that. */
  onMalformed?(malformed: Malformed): void;
}

/** Serves `fetch` over HTTP or HTTPS; returns the real `port`, even for 0. Throws a BridgeError if it cannot listen. */
export async function listen(
  fetch: Fetch,
  options: ListenOptions,
): Promise<{ readonly server: Server | TlsServer; readonly port: number; peerOf(socket: Socket): string | undefined }> {
  const { section, host, port, malformedBody, certificate, keepAliveMs, signals } = options;
  const handle = getRequestListener(fetch, {
    hostname: host,
    errorHandler(thrown) {
      throw thrown;
    },
  });
  const tell = (socket: Duplex, why: string): void =>
    options.onMalformed?.({ peer: ('remoteAddress' in socket && String(socket.remoteAddress)) || 'unknown', why });
  const refused = new WeakSet<Duplex>();
  const turns = takeTurns();
  const answer: RequestListener = (request, response) => {
    const { socket } = request;
    // A proxy may have read what follows a refused request differently: it is not answered.
    if (refused.has(socket) || socket.destroyed) return;
    const refuse = (trouble: string): void => {
      const why = `not an HTTP request: ${trouble}`;
      tell(socket, why);
      const body = malformedBody(why);
      response.writeHead(400, { ...CLOSING, 'content-length': Buffer.byteLength(body) }).end(body);
      refused.add(socket);
    };
    const trouble = misreadable(request);
    if (trouble !== undefined) refuse(trouble);
    else handle(request, response).catch((thrown: unknown) => refuse(messageOf(thrown)));
  };
  const listener: RequestListener = (request, response) => {
    const { socket } = request;
    if (refused.has(socket) || socket.destroyed) return;
    if (turns.begin(socket, response, () => answer(request, response))) return;
    tell(socket, `more than ${MOST_UNANSWERED} requests came before the first was answered`);
    // An answer would have to wait while more input is read; a client cut off at once would return at once.
    refused.add(socket);
    socket.pause();
    setTimeout(() => turns.take(() => socket.destroy()), GIVEN_UP_MS).unref();
  };
  // For Node, 0 means for ever.
  const settings = { ...SERVER_OPTIONS, keepAliveTimeout: Math.max(1, timerMs(keepAliveMs)) };
  const requestCert = certificate?.options.ca !== undefined;
  const server = certificate
    ? createTlsServer({ ...settings, ...certificate.options, handshakeTimeout: HANDSHAKE_MS, requestCert }, listener)
    : createServer(settings, listener);
  // Some callers half-close their side after the request. By default Node would close the other before the answer.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.on('clientError', (error: ClientError, socket) => {
    if (!refused.has(socket)) answerClientError(error, socket, malformedBody, tell);
  });
  // Node would end such a connection silently, and hands its socket over without a listener.
  server.on('connect', (_, socket) => {
    socket.on('error', () => {});
    answerClientError(new Error('this is no proxy'), socket, malformedBody, tell);
    setTimeout(() => socket.destroy(), GIVEN_UP_MS).unref();
  });
  // An unknown expectation need not be met (RFC 9110, 10.1.1); Node would answer 417 by itself.
  server.on('checkExpectation', listener);
  server.on('tlsClientError', ({ message }: Error) => signals.emit('tls.handshake-failed', { message }));
  limitConnections(server, options.maxConnections, (limit) => signals.emit('connection.limit', { section, ...limit }));
  if (options.stalledMs !== undefined) server.setTimeout(options.stalledMs);
  let peerOf = (socket: Socket): string | undefined => socket.remoteAddress;
  if (options.isProxy !== undefined) {
    const missing = 'no PROXY header came first, which receiver.proxyProtocol expects of this address';
    peerOf = expectProxyHeaders(server, options.isProxy, (socket) => tell(socket, missing));
  }
  try {
    await once(server.listen(port, host), 'listening');
  } catch (thrown) {
    const message = `cannot listen on ${urlHost(host)}:${port}: ${messageOf(thrown)}`;
    const [code, setting, suggestion] = adviceOn((thrown as NodeJS.ErrnoException).code);
    throw new BridgeError({ code, path: `${section}.${setting}`, message, suggestion });
  }
  return { server, port: (server.address() as AddressInfo).port, peerOf };
}

/**
 * Gives each turn of the event loop to one waiting request, so that a single one need not wait for many sent at once.
 * `begin` starts a request once those before it on its connection are answered; it returns false if too many wait.
 */
function takeTurns() {
  /** By connection; the first is being answered. */
  const queues = new Map<Duplex, (() => void)[]>();
  const ready: (() => void)[] = [];
  const turn = (): void => {
    ready.shift()?.();
    if (ready.length > 0) setImmediate(turn);
  };
  const take = (work: () => void): void => {
    if (ready.push(work) === 1) setImmediate(turn);
  };
  const begin = (socket: Duplex, response: ServerResponse, answer: () => void): boolean => {
    const queue = queues.get(socket) ?? [];
    if (!queues.has(socket)) {
      queues.set(socket, queue);
      socket.once('close', () => {
        queues.delete(socket);
        // Emptied, since a list in the old generation would keep its content until a major garbage collection.
        queue.length = 0;
      });
    }
    response.once('close', () => {
      queue.shift();
      const [next] = queue;
      if (next !== undefined) take(next);
    });
    if (queue.push(answer) === 1) answer();
    return queue.length <= MOST_UNANSWERED;
  };
  return { take, begin };
}

/** Returns what prevents listening: fault, setting and remedy. */
function adviceOn(error: string | undefined): [code: FaultCode, setting: 'host' | 'port', suggestion: string] {
  if (error === 'EADDRINUSE')
    return ['address-in-use', 'port', 'another process listens there: end it, or choose another port'];
  if (error === 'EACCES')
    return ['address-unusable', 'port', 'this user may not listen there: choose a port from 1024 on'];
  return ['address-unusable', 'host', 'it is no address of this machine: choose another; 0.0.0.0 is every one'];
}

/**
 * Says why a request must be refused although Node's parser accepts it (RFC 9112, 3.2 and 6.1): a proxy in front of this
 * server may have read it differently.
 */
function misreadable({ httpVersion, headersDistinct }: IncomingMessage): string | undefined {
  const { host: hosts = [], 'transfer-encoding': codings } = headersDistinct;
  if (httpVersion !== '1.0' && httpVersion !== '1.1') return 'this server speaks 1.1';
  if (hosts.length === 0 && httpVersion === '1.1') return 'Host is missing';
  if (hosts.length > 1) return 'Host stands there twice';
  // A target without an authority comes with an empty Host.
  if (!/^([\w.~!$&'()*+;=%-]*|\[[\da-f:.]+\])(:\d*)?$/i.test(hosts[0] ?? '')) return 'Host is no host';
  if (codings === undefined) return undefined;
  if (httpVersion === '1.0') return 'Transfer-Encoding is not of this version';
  return codings.join().trim().toLowerCase() === 'chunked' ? undefined : 'its Transfer-Encoding is not chunked alone';
}

/** What Node's parser refuses; with the packet at which it gave up, if it read anything. */
type ClientError = NodeJS.ErrnoException & { readonly rawPacket?: Buffer };

/** Says what the first bytes are, if they tell. */
function recognize(packet: Buffer = Buffer.alloc(0)): string {
  const begins = (text: string): boolean => packet.toString('latin1', 0, text.length) === text;
  if (begins('PROXY ') || packet.subarray(0, V2.length).equals(V2))
    return ' (it begins with the PROXY protocol: switch it off at the load balancer, or set receiver.proxyProtocol)';
  if (begins('\x16\x03')) return ' (TLS is spoken to a plain port: set receiver.tls, or let the caller use http://)';
  if (begins('PRI * HTTP/2')) return ' (HTTP/2 is spoken, and this is HTTP/1.1)';
  return '';
}

/** Answers what Node's parser refuses: bad HTTP, headers that are too large or too slow. */
function answerClientError(
  error: ClientError,
  socket: Duplex,
  malformedBody: ListenOptions['malformedBody'],
  tell: (socket: Duplex, why: string) => void,
): void {
  // A client that opened a connection in advance would take an answer for that of its first request.
  const unused = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && 'bytesRead' in socket && socket.bytesRead === 0;
  if (!socket.writable || error.code === 'ECONNRESET' || unused) {
    socket.destroy();
    return;
  }
  const why = `not an HTTP request: ${error.message}`;
  tell(socket, why + recognize(error.rawPacket));
  const body = malformedBody(why);
  const headers = Object.entries({ ...CLOSING, 'content-length': Buffer.byteLength(body) });
  const lines = ['HTTP/1.1 400 Bad Request', ...headers.map(([name, value]) => `${name}: ${value}`)];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

/** Accepts no new connections, gives requests in flight at most `ms` to end, then cuts the remaining ones. */
export function closeServer(server: Server, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), ms);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
