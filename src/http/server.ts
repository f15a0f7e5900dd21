import { createServer, type RequestListener, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import { failEnvelope } from '../intake/envelope.ts';
import { BridgeError, messageOf } from '../model/fault.ts';
import type { Certificate } from './certificate.ts';

type Fetch = Parameters<typeof getRequestListener>[0];

/** Longer than the idle time-out of common load balancers (up to 10 minutes), so that they, not we, end idle connections. */
const KEEP_ALIVE_MS = 620_000;

const SERVER_OPTIONS: ServerOptions = {
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  connectionsCheckingInterval: 2_000,
  // It would be refused by Node itself, without the envelope.
  requireHostHeader: false,
};
const HANDSHAKE_MS = 10_000;

export interface ListenOptions {
  /** How long an idle connection is kept, in ms. */
  readonly keepAliveMs?: number;
  /** HTTPS with this certificate; with `ca` in it callers must show one of their own. */
  readonly certificate?: Certificate | undefined;
  /** A TLS handshake that came to nothing; anybody can bring that about. */
  onHandshakeFailed?(message: string): void;
}

/** A server that listens; `port` is the real one also when 0 was asked for. */
export interface Listening {
  readonly server: Server | TlsServer;
  readonly port: number;
}

export function listen(fetch: Fetch, hostname: string, port: number, options: ListenOptions = {}): Promise<Listening> {
  const { certificate, keepAliveMs = KEEP_ALIVE_MS, onHandshakeFailed } = options;
  const handle = getRequestListener(fetch, {
    hostname,
    errorHandler: (thrown) =>
      new Response(failEnvelope({ code: 'query-invalid', message: `not a request: ${messageOf(thrown)}` }), {
        status: 400,
        headers: { 'content-type': 'application/json', connection: 'close' },
      }),
  });
  const listener: RequestListener = (request, response) => {
    if (request.headers.host === undefined && request.httpVersion === '1.1') answerHostless(response);
    else void handle(request, response);
  };
  const settings = { ...SERVER_OPTIONS, keepAliveTimeout: keepAliveMs };
  const server =
    certificate === undefined
      ? createServer(settings, listener)
      : createTlsServer(
          {
            ...settings,
            ...certificate.options,
            handshakeTimeout: HANDSHAKE_MS,
            requestCert: certificate.options.ca !== undefined,
          },
          listener,
        );
  // Some callers close their side once they have asked. By default Node would then close the other, and no answer could go out.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.on('clientError', answerClientError);
  // An expectation that nobody knows need not be met (RFC 9110, 10.1.1); Node would answer 417 by itself.
  server.on('checkExpectation', listener);
  server.on('tlsClientError', (error: Error) => onHandshakeFailed?.(error.message));
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const message = `cannot listen on ${hostname}:${port}: ${error.message}`;
      const suggestion = 'another process listens there, or the host is not one of this machine: choose another';
      reject(new BridgeError({ code: 'address-in-use', message, suggestion }));
    });
    server.listen(port, hostname, () => {
      server.removeAllListeners('error');
      resolve({ server, port: (server.address() as AddressInfo).port });
    });
  });
}

function answerHostless(response: ServerResponse): void {
  const body = failEnvelope({ code: 'query-invalid', message: 'not an HTTP/1.1 request: Host is missing' });
  response.writeHead(400, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  });
  response.end(body);
}

/** What never becomes a request (bad HTTP, headers too large or too slow) is answered in the envelope, too. */
function answerClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  // A connection that was opened ahead and never used has asked nothing: an answer would be taken for that of its first request.
  const unused = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && 'bytesRead' in socket && socket.bytesRead === 0;
  if (!socket.writable || error.code === 'ECONNRESET' || unused) {
    socket.destroy();
    return;
  }
  const body = failEnvelope({ code: 'query-invalid', message: `not an HTTP request: ${error.message}` });
  socket.end(
    `HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

/** Takes no new connections, lets requests in flight end for at most `ms`, then cuts what is left. */
export function closeServer(server: Server, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), ms);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** An address or a name as it stands in a URL. */
export function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
