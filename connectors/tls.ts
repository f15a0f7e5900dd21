/** TLS to destinations: one form of settings, and one way to explain failures, for all connectors. */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectPlain, isIP, type LookupFunction, type Socket } from 'node:net';
import {
  type ConnectionOptions,
  connect,
  createSecureContext,
  type DetailedPeerCertificate,
  type TLSSocket,
} from 'node:tls';
import { z } from 'zod';
import { urlHost } from '../src/model/address.ts';
import { readPem } from '../src/model/bounded.ts';
import { type Fault, messageOf, Unreachable } from '../src/model/fault.ts';
import { password } from '../src/model/secret.ts';

const text = z.string().min(1);

export const tlsOptions = z
  .strictObject({
    caFile: text
      .optional()
      .describe('PEM: the authority of the server’s certificate, when it is one of your own instead of the system’s.'),
    caFingerprint: z
      .string()
      .transform((text) => text.replaceAll(':', '').toUpperCase())
      .refine((text) => /^[0-9A-F]{64}$/.test(text), {
        error: 'a SHA-256 fingerprint is expected: 64 hexadecimal digits, with or without colons',
      })
      .optional()
      .describe('Instead of `caFile`: the SHA-256 fingerprint of that authority, which the server shows itself.'),
    certFile: text.optional().describe('PEM: the client certificate, where the server asks for one.'),
    keyFile: text.optional().describe('PEM: its private key.'),
    keyPassphrase: password.optional().describe('When the key is encrypted.'),
    serverName: text
      .optional()
      .describe('The name to look for in the server’s certificate, when it is not that of the address.'),
  })
  .refine(({ caFile, caFingerprint }) => caFile === undefined || caFingerprint === undefined, {
    path: ['caFingerprint'],
    error: 'caFile says the same and more: leave one of the two out',
  })
  .refine(({ certFile, keyFile }) => (certFile === undefined) === (keyFile === undefined), {
    path: ['keyFile'],
    error: 'certFile and keyFile belong together',
  })
  .refine(({ keyFile, keyPassphrase }) => keyFile !== undefined || keyPassphrase === undefined, {
    path: ['keyPassphrase'],
    error: 'there is no keyFile that it could open',
  });

type TlsOptions = z.output<typeof tlsOptions>;

/** Where addresses do not say whether to use TLS; `true` is TLS without any of the options. */
export const tlsOrNot = z
  .union([z.boolean(), tlsOptions], { error: 'true, false, or an object with caFile and others is expected' })
  .default(false);

export interface Endpoint {
  readonly host: string;
  readonly port: number;
  /** Where TLS begins in the middle of a protocol: takes a new connection to that point. */
  readonly begin?: (socket: Socket) => Promise<void>;
  /** How its addresses are resolved, if not by the system. */
  readonly lookup?: LookupFunction;
  /** The option whose URL says https:// for TLS; without it, `tls` does. */
  readonly url?: string;
}

/** Names it for people. */
export const named = ({ host, port }: Pick<Endpoint, 'host' | 'port'>): string => `${urlHost(host)}:${port}`;

type SecureOptions = Pick<
  ConnectionOptions,
  'ca' | 'cert' | 'key' | 'passphrase' | 'servername' | 'allowPartialTrustChain'
>;

/**
 * Reads the files when a sink is opened: a renewed certificate is used from the lane's next connection on. `path` is how
 * the YAML names the connector. Throws Unreachable that names the setting.
 */
export async function secureOptions(
  given: TlsOptions | true,
  path: string,
  endpoints: readonly Endpoint[],
  signal: AbortSignal,
): Promise<SecureOptions> {
  const tls: TlsOptions = given === true ? {} : given;
  const read = async (key: 'caFile' | 'certFile' | 'keyFile', check: (pem: string) => unknown) => {
    const name = tls[key];
    if (name === undefined) return undefined;
    try {
      const pem = readPem(name);
      check(pem);
      return pem;
    } catch (thrown) {
      const message = `${name} cannot be used: ${messageOf(thrown)}`;
      const suggestion =
        key === 'keyFile'
          ? 'it must hold the private key of certFile in PEM, and keyPassphrase what it is encrypted with'
          : 'it must be a file in PEM that this user may read';
      const fault = { code: 'destination-misconfigured', message, path: `${path}.tls.${key}`, suggestion } as const;
      throw new Unreachable(fault, thrown);
    }
  };
  const { keyPassphrase: passphrase } = tls;
  const ca = await read('caFile', (pem) => new X509Certificate(pem));
  const cert = await read('certFile', (pem) => new X509Certificate(pem));
  const key = await read('keyFile', (pem) => createSecureContext({ cert, key: pem, passphrase }));
  const options = {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert, key }),
    ...(passphrase !== undefined && { passphrase }),
    ...(tls.serverName !== undefined && { servername: tls.serverName }),
  };
  if (tls.caFingerprint === undefined) return options;
  const shown = await authorityShown(tls.caFingerprint, options, path, endpoints, signal);
  // It may be anywhere in the chain. Everything else is verified as usual: signatures, dates, the name.
  return { ...options, ca: shown, allowPartialTrustChain: true };
}

/**
 * Returns the certificate with this fingerprint among those that a server shows. That alone proves nothing, so it only
 * serves as the authority against which the server is then verified.
 */
async function authorityShown(
  fingerprint: string,
  options: SecureOptions,
  path: string,
  endpoints: readonly Endpoint[],
  signal: AbortSignal,
): Promise<string> {
  const setting = `${path}.tls.caFingerprint`;
  let failure: Fault | undefined;
  for (const endpoint of endpoints) {
    signal.throwIfAborted();
    let shown: DetailedPeerCertificate | undefined;
    try {
      const socket = await shake(endpoint, { ...options, rejectUnauthorized: false });
      shown = socket.getPeerCertificate(true);
      socket.destroy();
    } catch (thrown) {
      failure = tlsFault(thrown, path, endpoint);
      continue;
    }
    while (shown?.raw !== undefined) {
      if (shown.fingerprint256.replaceAll(':', '') === fingerprint) return new X509Certificate(shown.raw).toString();
      const issuer: DetailedPeerCertificate = shown.issuerCertificate;
      // The last one is its own issuer.
      shown = issuer === shown ? undefined : issuer;
    }
    throw new Unreachable({
      code: 'destination-credentials',
      path: setting,
      message: `no certificate that ${named(endpoint)} shows has this fingerprint`,
      suggestion:
        'compare it with the authority’s; a server that keeps its authority to itself needs tls.caFile instead',
    });
  }
  throw new Unreachable(
    failure ?? { code: 'destination-unreachable', message: 'no server could be asked', path: setting },
  );
}

const PROBE_MS = 3_000;
/** Errors reach whoever awaits the socket; nobody awaits later ones. */
const ignored = (): void => {};

/** Makes a TLS handshake and nothing more. Throws why it fails. */
async function shake({ host, port, lookup, begin }: Endpoint, options: ConnectionOptions): Promise<TLSSocket> {
  const servername = options.servername ?? (isIP(host) === 0 ? host : undefined);
  const found = { ...(lookup && { lookup }), ...(servername !== undefined && { servername }) };
  const within = { signal: AbortSignal.timeout(PROBE_MS) };
  const plain = begin && connectPlain({ host, port, ...found, ...within }).on('error', ignored);
  let secure: TLSSocket | undefined;
  try {
    if (plain !== undefined) {
      await once(plain, 'connect', within);
      await begin?.(plain);
    }
    secure = connect({ ...options, host, port, ...found, ...(plain && { socket: plain }) }).on('error', ignored);
    await once(secure, 'secureConnect', within);
    return secure;
  } catch (thrown) {
    plain?.destroy();
    secure?.destroy();
    throw within.signal.aborted ? new Error(`no answer to a TLS handshake within ${PROBE_MS} ms`) : thrown;
  }
}

/** Returns why a TLS handshake with the server fails; undefined if it succeeds, or if there is no connection. */
export async function whyNoTls(endpoint: Endpoint, options: SecureOptions, path: string): Promise<Fault | undefined> {
  try {
    // With TLS 1.3, a missing client certificate is reported only after the handshake.
    await ending(await shake(endpoint, options));
    return undefined;
  } catch (thrown) {
    return isTlsError(thrown) ? tlsFault(thrown, path, endpoint) : undefined;
  }
}

const ALERT_MS = 300;

/** Resolves if the other end closes the connection within a moment. Throws its error, or that it does not. */
async function ending(socket: Socket): Promise<void> {
  try {
    // Alerts are read with the data.
    await once(socket.resume(), 'close', { signal: AbortSignal.timeout(ALERT_MS) });
  } finally {
    socket.on('error', ignored).destroy();
  }
}

/** Returns whether the other end speaks TLS, whoever it is. */
export async function speaksTls(endpoint: Endpoint, options: SecureOptions): Promise<'yes' | 'no' | 'no-connection'> {
  try {
    (await shake(endpoint, { ...options, rejectUnauthorized: false })).destroy();
    return 'yes';
  } catch (thrown) {
    // An alert is TLS, too: a refusal in it.
    if (/ALERT/.test(codeOf(thrown))) return 'yes';
    return isTlsError(thrown) || codeOf(thrown) === 'ECONNRESET' ? 'no' : 'no-connection';
  }
}

/** Returns a fault, beginning with `says`, if a plain request to the endpoint's URL fails because TLS is spoken there. */
export async function whyNotPlain(endpoint: Endpoint, says: string, path: string): Promise<Fault | undefined> {
  if ((await speaksTls(endpoint, {})) !== 'yes') return undefined;
  const message = `${says}: TLS is spoken on this port`;
  return { code: 'destination-misconfigured', message, path: `${path}.${endpoint.url}`, suggestion: 'write https://' };
}

/** Whether something answers a plain HTTP request at the other end. */
export async function speaksHttp(endpoint: Endpoint): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(PROBE_MS);
    await fetch(`http://${named(endpoint)}/`, { redirect: 'manual', signal });
    return true;
  } catch {
    return false;
  }
}

/** Whether the other end accepts a connection and closes it at once, like a proxy whose server is down. */
export async function endsAtOnce({ host, port }: Endpoint): Promise<boolean> {
  try {
    await ending(connectPlain({ host, port }));
    return true;
  } catch (thrown) {
    return codeOf(thrown) === 'ECONNRESET';
  }
}

function codeOf(thrown: unknown): string {
  const { code } = thrown as { code?: unknown };
  return typeof code === 'string' ? code : '';
}

/** Whether it is an OpenSSL or Node error of a handshake. */
export function isTlsError(thrown: unknown): boolean {
  const code = codeOf(thrown);
  return UNKNOWN_AUTHORITY.test(code) || /^(CERT_|ERR_TLS_|ERR_SSL_|EPROTO)/.test(code);
}

const UNKNOWN_AUTHORITY = /SELF_SIGNED_CERT|^UNABLE_TO_(GET_ISSUER|VERIFY_LEAF)|^CERT_SIGNATURE_FAILURE/;

/** What to look at, by error code; the first match counts. */
const REMEDIES: readonly (readonly [code: RegExp, setting: string, suggestion: string])[] = [
  [UNKNOWN_AUTHORITY, 'tls.caFile', 'name the authority of its certificate by tls.caFile or tls.caFingerprint'],
  [
    /^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/,
    'tls',
    'renew the server’s certificate; or is the clock of this machine wrong?',
  ],
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    'tls.serverName',
    'use a name that its certificate holds, or say by tls.serverName which one to expect',
  ],
  [
    /ALERT/,
    'tls.certFile',
    'the server turns this client away: does it ask for a client certificate, or know another authority?',
  ],
];

const SPEAKS_NONE = /WRONG_VERSION_NUMBER|PACKET_LENGTH|HTTP_REQUEST/;
/** Extracts OpenSSL's reason, which stands between numbers and names of its source files. */
const OPENSSL = /(?:\w+:)?error:\w+:[^:]*:[^:]*:([^:]+):.*$/s;

export function tlsFault(thrown: unknown, path: string, endpoint: Endpoint): Fault {
  const { url } = endpoint;
  const message = `TLS with ${named(endpoint)} fails: ${messageOf(thrown).replace(OPENSSL, '$1')}`;
  if (SPEAKS_NONE.test(codeOf(thrown))) {
    const how = url === undefined ? 'leave tls out' : 'write http://';
    const suggestion = `the server does not speak TLS on this port: ${how}, or use its other port`;
    return { code: 'destination-misconfigured', path: `${path}.${url ?? 'tls'}`, message, suggestion };
  }
  const remedy = REMEDIES.find(([code]) => code.test(codeOf(thrown)));
  const [, setting, suggestion] = remedy ?? ['', 'tls', 'see that the server speaks TLS on this port'];
  const code = remedy === undefined ? 'destination-unreachable' : 'destination-credentials';
  return { code, path: `${path}.${setting}`, message, suggestion };
}
