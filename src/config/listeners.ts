/** The settings of the two servers: the receiver of callbacks and the admin server. */
import { isIP } from 'node:net';
import { z } from 'zod';
import { isAddressRange, isLocal } from '../model/address.ts';
import { isBeforeCallback } from '../model/callback.ts';
import { password } from '../model/secret.ts';
import type { Config } from './schema.ts';
import { duration, text, whole } from './units.ts';

/** A path as it appears in requests: callers resolve dots and turn backslashes, and encode what is not ASCII. */
const path = z
  .string()
  .regex(/^(?!.*\/(\.|%2[eE]){1,2}(\/|$))\/[^?#\\\s]*$/, {
    error:
      'a path is expected: it starts with / and holds no query, no backslash and no . or .. as a part, such as /callback',
  })
  .transform((text) => new URL(`http://x${text}`).pathname);

const host = text.refine((text) => isIP(text) !== 0 || /^[\w-]+(\.[\w-]+)*\.?$/.test(text), {
  error: 'an address or a name of this machine is expected, without http://, brackets and port, such as 0.0.0.0',
  abort: true,
});

const port = whole(0, 65535).describe('0 takes any free port.');

const addressRange = z.string().refine(isAddressRange, {
  error: 'an IP address or a CIDR range is expected, such as 183.192.202.0/25',
});

/** Whether only this machine can reach a server that listens there. */
export const isLoopback = (host: string): boolean => host === 'localhost' || isLocal(host);

const tls = z.strictObject({
  certFile: text.describe('PEM: the certificate, followed by intermediate certificates. Reloaded when it changes.'),
  keyFile: text.describe('PEM: its private key.'),
  keyPassphrase: password.optional().describe('Passphrase of an encrypted key.'),
  clientCaFile: text.optional().describe('PEM: if set, callers must present a certificate of one of these CAs.'),
});

const FORWARD_URL =
  'an http:// or https:// URL without query and credentials is expected, such as https://127.0.0.1:9443';

const forward = z.strictObject({
  forwardTo: z
    .string()
    .refine((text) => isForwardUrl(text), { error: FORWARD_URL })
    .describe(
      'The handler that answers instead. It gets the request unchanged, at the path of this URL or, if it has none, that of the callback.',
    ),
  timeoutMs: whole(50, 1_900).default(1_500).describe('How long the handler may take; the service gives up after 2 s.'),
  forwardAll: z.boolean().default(false).describe('Whether commands that the bridge records are also forwarded.'),
  caFile: text.optional().describe('PEM: the CA of the handler’s certificate, if it is your own.'),
});

function isForwardUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, search, hash, username, password } = new URL(text);
  return /^https?:$/.test(protocol) && search + hash + username + password === '';
}

export const receiver = z
  .strictObject({
    host: host.default('0.0.0.0').describe('The address to listen on; 0.0.0.0 means all of this machine’s.'),
    port: port.default(8080),
    path: path.prefault('/callback').describe('The path of the callback URL.'),
    maxBodyBytes: whole(1024, 16_777_216)
      .default(65_536)
      .describe(
        'Larger bodies, not counting fields in extra.drop, are answered 413; from a verified sender, the beginning is kept in the quarantine.',
      ),
    extra: z
      .strictObject({
        drop: z
          .array(text)
          .default(['MemberList'])
          .describe('Fields to leave out of events; the service lists all members of a destroyed group.'),
      })
      .prefault({})
      .describe('How unknown fields of a callback are handled: events carry them as `extra`.'),
    tls: tls.optional().describe('Serve HTTPS; without it, a proxy in front must.'),
    allowFrom: z
      .union([
        z.literal('service').transform(() => ['service']),
        z.array(z.union([z.literal('service'), addressRange])).min(1),
      ])
      .optional()
      .describe(
        'Peer addresses that may call; default: all. `service`, alone or in the list, stands for the addresses that the service calls from, fetched with the credentials of reconcile.api.',
      ),
    refreshAddresses: duration
      .refine((ms) => ms >= 1_000, { error: 'at least 1s is expected' })
      .prefault('1h')
      .describe('How often the service’s addresses are fetched, with allowFrom: service.'),
    trustProxy: z
      .union([z.literal(false), z.array(addressRange).min(1)], {
        error: 'false, or a list of the addresses and CIDR ranges of your proxies, is expected',
      })
      .default(false)
      .describe(
        'The proxies whose X-Forwarded-For is trusted: the right-most address that is not one of them is the peer.',
      ),
    proxyProtocol: z
      .boolean()
      .default(false)
      .describe(
        'Whether the proxies in trustProxy begin each connection with a PROXY header (version 1 or 2) that names the caller. Connections of theirs without one are closed; other peers send none.',
      ),
    healthPath: path
      .optional()
      .describe(
        'A health check path on this port, for load balancers that cannot use another: GET is answered 200 while callbacks can be recorded, else 503.',
      ),
    otherCommands: z
      .union([z.enum(['acknowledge', 'reject']), forward])
      .default('acknowledge')
      .describe(
        'How callbacks of other commands are answered. "Before" commands are refused either way, since an OK would allow the action, unless they are forwarded.',
      ),
    allowBefore: z
      .array(
        z.string().refine(isBeforeCallback, {
          error: 'a "before" command is expected, such as Group.CallbackBeforeSendMsg: others need no permission',
        }),
      )
      .min(1)
      .optional()
      .describe('"Before" commands that are answered OK unseen: the service then allows every such action.'),
    refuseBefore: z
      .union([z.literal(403), z.literal('errorCode')], { error: '403 or errorCode is expected' })
      .default(403)
      .describe(
        'How a "before" command is refused: by HTTP 403, which the service treats as a failed webhook, as set in its console, or by `errorCode`: 200 with ErrorCode 1, which forbids the action.',
      ),
    rateLimit: z
      .union(
        [
          z.literal(false),
          z.strictObject({
            perSecond: whole(1, 1_000_000).describe('Maximum per sender, averaged over ten seconds.'),
          }),
        ],
        {
          error: 'false, or the most callbacks of one sender such as { perSecond: 1000 }, is expected',
        },
      )
      .optional()
      .describe(
        'Maximum callbacks from one address (IPv6: one /64); more are answered 429. Default: 1,000 a second while app.callbackTokens is not set, not counting this machine’s own addresses; false: no limit.',
      ),
    whenUnrecordable: z
      .enum(['hold', 'fail'])
      .default('hold')
      .describe(
        'When the journal cannot record: `hold` the answer past the service’s time-out of 2 s, which it may retry, or `fail` at once.',
      ),
    maxInFlight: whole(1, 1_000_000)
      .default(2_000)
      .describe('Maximum callbacks that wait for their answer at once; more are answered 503 immediately.'),
    maxConnections: whole(1, 1_000_000)
      .default(10_000)
      .describe('Maximum connections; beyond it, a new one replaces the one that has been idle longest.'),
    keepAlive: duration
      .prefault('620s')
      .describe(
        'How long an idle connection is kept: longer than load balancers keep it, so that they close it first.',
      ),
  })
  .refine(({ otherCommands, allowBefore }) => typeof otherCommands === 'string' || allowBefore === undefined, {
    path: ['allowBefore'],
    error: 'with otherCommands.forwardTo the handler answers "before" commands: leave one of the two out',
  })
  .refine(({ proxyProtocol, trustProxy }) => !proxyProtocol || trustProxy !== false, {
    path: ['trustProxy'],
    error: 'proxyProtocol needs the load balancers’ addresses here: otherwise anyone could claim any address',
  })
  // A slash at its end does not make it another path.
  .refine(({ path, healthPath }) => path !== healthPath && `${path}/` !== healthPath, {
    path: ['healthPath'],
    error: 'another path than receiver.path is expected',
  });

/** Returns a warning if anybody may send callbacks, else undefined. */
export function opennessOf({ app, receiver }: Pick<Config, 'app' | 'receiver'>): string | undefined {
  if (app.callbackTokens !== undefined || receiver.allowFrom !== undefined) return undefined;
  return 'no app.callbackTokens, no receiver.allowFrom: anyone who reaches the receiver can send callbacks and fill the journal';
}

export const DEFAULT_ADMIN_PORT = 8081;

export const admin = z
  .strictObject({
    host: host
      .default('127.0.0.1')
      .describe('Where the admin server listens: any other than a loopback address needs a token.'),
    port: port.default(DEFAULT_ADMIN_PORT),
    token: z
      .string()
      .regex(/^([\x21-\x7e]{16,512})?$/, {
        error: 'at least 16 characters without spaces are expected, such as `openssl rand -hex 24` prints',
      })
      .transform((text) => (text === '' ? undefined : text))
      .optional()
      .describe('Required by everything but /healthz and /readyz; empty counts as not set.'),
  })
  .refine(({ host, token }) => isLoopback(host) || token !== undefined, {
    path: ['token'],
    error:
      'a token of at least 16 characters is needed, since admin.host is reachable by other machines: set it, or leave admin.host out to listen on 127.0.0.1 only',
  });

/** Stands for a receiver that was not configured; recognized by its identity. */
export const NO_RECEIVER = receiver.parse({});
