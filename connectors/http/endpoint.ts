/** Connects to the endpoint, and makes single requests. Follows no redirects, and uses no proxies of the environment. */
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import { connect } from 'node:net';
import { hostOf } from '../../src/model/address.ts';
import { type Fault, messageOf, Unreachable } from '../../src/model/fault.ts';
import type { Host } from '../contract.ts';
import { type Endpoint as At, isTlsError, secureOptions, tlsFault, whyNoTls, whyNotPlain } from '../tls.ts';
import { PrivateAddress, publicLookup } from './addresses.ts';
import type { Answer, Asked, Judgement } from './answer.ts';
import type { HttpOptions } from './options.ts';

export interface Endpoint extends Asked {
  readonly address: string;
  /** Rejects with what went wrong, including the signal's reason. */
  send(headers: Readonly<Record<string, string>>, body: Buffer, signal: AbortSignal): Promise<Answer>;
  /** Judges a failure to get an answer. */
  failure(thrown: unknown): Promise<Exclude<Judgement, { of: 'event' }>>;
  /** Why a plain request is not answered; undefined if TLS is not the reason. */
  whyPlainFails(): Promise<Fault | undefined>;
  /** Closes the connections; the next request opens a new one. */
  close(): void;
}

/** Connects once, to check name, address and certificate, and sends nothing. Throws Unreachable. */
export async function openEndpoint(
  options: HttpOptions,
  host: Host,
  signal: AbortSignal,
  lookup = options.allowPrivate ? undefined : publicLookup(),
): Promise<Endpoint> {
  signal.throwIfAborted();
  const url = new URL(options.url);
  const isSecure = url.protocol === 'https:';
  const setting = `connectors.${host.name}`;
  const port = Number(url.port || (isSecure ? 443 : 80));
  const at: At = { host: hostOf(url), port, url: 'url', ...(lookup && { lookup }) };
  const asked = { setting, origin: url.origin };
  const failure = (thrown: unknown) => failureOf(thrown, options, asked, at);
  const whyPlainFails = async (): Promise<Fault | undefined> =>
    isSecure ? undefined : whyNotPlain(at, `${url.origin} does not answer`, setting);

  let address: string;
  try {
    address = await knock(at, AbortSignal.any([signal, AbortSignal.timeout(options.timeoutMs)]));
  } catch (thrown) {
    signal.throwIfAborted();
    throw new Unreachable(failure(thrown).fault, thrown);
  }
  const secure = isSecure ? await secureOptions(options.tls ?? {}, setting, [at], signal) : undefined;
  const fault = secure && (await whyNoTls(at, secure, setting));
  if (fault !== undefined) throw new Unreachable(fault);
  const sockets = { keepAlive: true, ...(lookup && { lookup }), ...secure };
  const agent = isSecure ? new TlsAgent(sockets) : new Agent(sockets);
  return {
    ...asked,
    address,
    send: (headers, body, signal) => send(url, options, agent, { ...options.headers, ...headers }, body, signal),
    async failure(thrown) {
      const failed = failure(thrown);
      const fault = failed.of === 'either' && !(thrown instanceof Late) ? await whyPlainFails() : undefined;
      return fault === undefined ? failed : { of: 'endpoint', fault, afterMs: 0 };
    },
    whyPlainFails,
    close: () => agent.destroy(),
  };
}

/** Opens a connection and ends it. Returns the address at the other end. */
async function knock(at: At, signal: AbortSignal): Promise<string> {
  const socket = connect(at);
  try {
    await once(socket, 'connect', { signal });
    return socket.remoteAddress ?? at.host;
  } finally {
    socket.on('error', () => {});
    socket.destroy();
  }
}

/** No answer within the time. */
class Late extends Error {}

function send(
  url: URL,
  { method, timeoutMs }: HttpOptions,
  agent: Agent,
  headers: Readonly<Record<string, string>>,
  body: Buffer,
  signal: AbortSignal,
): Promise<Answer> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const attempt = (isFresh: boolean): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const lengths = { 'content-length': body.byteLength, 'user-agent': 'group-sync-bridge' };
      const options = { method, agent, signal: within, headers: { ...lengths, ...headers } };
      const call = (url.protocol === 'https:' ? tlsRequest : request)(url, options);
      call.on('response', (answer) => read(answer).then(resolve, reject));
      call.on('upgrade', (_, socket) => {
        socket.destroy();
        reject(new Error('it answers 101, and nothing was to be upgraded'));
      });
      call.on('error', (error: NodeJS.ErrnoException) => {
        if (signal.aborted) return reject(signal.reason);
        if (within.aborted) return reject(new Late(`no answer within ${timeoutMs} ms`));
        // The other side closed a kept connection just as it was reused: nothing was received.
        if (call.reusedSocket && error.code === 'ECONNRESET' && !isFresh) return resolve(attempt(true));
        reject(error);
      });
      call.end(body);
    });
  return attempt(false);
}

/** Acknowledgements still incoming: each holds a connection, and if none ended there would be ever more. */
const unended = new Set<IncomingMessage>();
const MOST_UNENDED = 256;

const QUOTED_BYTES = 1_000;
const QUOTED_CHARACTERS = 200;

async function read(answer: IncomingMessage): Promise<Answer> {
  const { statusCode: status = 0, headers } = answer;
  answer.on('error', () => {});
  if (status >= 200 && status < 300) {
    // Acknowledged, whatever becomes of the rest.
    answer.resume();
    answer.once('close', () => unended.delete(answer));
    const [oldest] = unended.add(answer);
    if (unended.size > MOST_UNENDED) oldest?.destroy();
    return { status, headers, text: '' };
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of answer) {
      chunks.push(chunk);
      size += chunk.length;
      // Stopping halfway closes the connection.
      if (size > QUOTED_BYTES) break;
    }
  } catch {
    // The status says enough.
  }
  // Compressed although nobody asked for it: unreadable for a person.
  const said = headers['content-encoding'] === undefined ? Buffer.concat(chunks).toString() : '';
  const text = said.replace(/\s+/g, ' ').trim();
  return { status, headers, text: text.slice(0, QUOTED_CHARACTERS).toWellFormed() };
}

function failureOf(
  thrown: unknown,
  { timeoutMs }: HttpOptions,
  { origin, setting }: Asked,
  at: At,
): Exclude<Judgement, { of: 'event' }> {
  const fault = (code: Fault['code'], option: string, message: string, suggestion: string) =>
    ({ fault: { code, message, path: `${setting}.${option}`, suggestion }, afterMs: 0 }) as const;
  if (thrown instanceof PrivateAddress) {
    const suggestion = 'set allowPrivate: true if the endpoint is one of your own network';
    const message = `${messageOf(thrown)}, and nothing is sent to those`;
    return { of: 'endpoint', ...fault('destination-misconfigured', 'allowPrivate', message, suggestion) };
  }
  if (isTlsError(thrown)) return { of: 'endpoint', fault: tlsFault(thrown, setting, at), afterMs: 0 };
  const isLate = thrown instanceof Late || (thrown instanceof Error && thrown.name === 'AbortError');
  const said = isLate ? `no answer within ${timeoutMs} ms` : messageOf(thrown);
  const suggestion = isLate
    ? 'look at how long it takes; timeoutMs sets how long to wait'
    : said.startsWith('Parse Error')
      ? 'no HTTP is spoken there: compare the host and the port'
      : 'see that it can be reached from here';
  return { of: 'either', ...fault('destination-unreachable', 'url', `${origin} does not answer: ${said}`, suggestion) };
}
