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
  certFile: text.describe(
    'PEM: the certificate, followed by those of the authorities between. Read again when it changes.',
  ),
  keyFile: text.describe('PEM: its private key.'),
  keyPassphrase: password.optional().describe('When the key is encrypted.'),
  clientCaFile: text
    .optional()
    .describe('PEM: when given, callers must show a certificate of one of these authorities.'),
});

const FORWARD_URL =
  'an http:// or https:// URL without query and credentials is expected, such as https://127.0.0.1:9443';

const forward = z.strictObject({
  forwardTo: z
    .string()
    .refine((text) => isForwardUrl(text), { error: FORWARD_URL })
    .describe(
      'The handler that answers instead: it gets the request as it came, on the path of this URL or, where it has none, on that of the callback.',
    ),
  timeoutMs: whole(50, 1_900).default(1_500).describe('How long the handler may take; the service gives up after 2 s.'),
  forwardAll: z.boolean().default(false).describe('Whether the commands that the bridge records are forwarded, too.'),
  caFile: text.optional().describe('PEM: the authority of the handler’s certificate, when it is one of your own.'),
});

function isForwardUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, search, hash, username, password } = new URL(text);
  return /^https?:$/.test(protocol) && search + hash + username + password === '';
}

export const receiver = z
  .strictObject({
    host: host.default('0.0.0.0').describe('The address to listen on; 0.0.0.0 is every one of this machine.'),
    port: port.default(8080),
    path: path.prefault('/callback').describe('The path of the URL that the service is given.'),
    maxBodyBytes: whole(1024, 16_777_216)
      .default(65_536)
      .describe(
        'Larger bodies are answered 413, after the fields in extra.drop were left out; of a verified sender what came first is kept in the quarantine.',
      ),
    extra: z
      .strictObject({
        drop: z
          .array(text)
          .default(['MemberList'])
          .describe('Fields that the events do not carry: the service lists all members of a group that ends.'),
      })
      .prefault({})
      .describe(
        'What becomes of the fields of a callback that the bridge does not know: events carry them as `extra`.',
      ),
    tls: tls.optional().describe('Answer HTTPS; without it a proxy in front must.'),
    allowFrom: z
      .union([
        z.literal('service').transform(() => ['service']),
        z.array(z.union([z.literal('service'), addressRange])).min(1),
      ])
      .optional()
      .describe(
        'Peer addresses that may call; everybody when left out. `service`, alone or in the list, stands for the addresses that the service calls from: they are asked for each hour with the credentials of reconcile.api.',
      ),
    refreshAddresses: duration
      .refine((ms) => ms >= 1_000, { error: 'at least 1s is expected' })
      .prefault('1h')
      .describe('How often the addresses of the service are asked for, with allowFrom: service.'),
    trustProxy: z
      .union([z.literal(false), z.array(addressRange).min(1)], {
        error: 'false, or a list of the addresses and CIDR ranges of your proxies, is expected',
      })
      .default(false)
      .describe(
        'The proxies whose X-Forwarded-For is believed: the right-most address that is not one of them is the peer.',
      ),
    proxyProtocol: z
      .boolean()
      .default(false)
      .describe(
        'Whether the proxies in trustProxy begin each connection with a PROXY header (version 1 or 2), which says who calls. One that does not is closed; other peers send none.',
      ),
    healthPath: path
      .optional()
      .describe(
        'A path on this port for load balancers that can ask no other: GET is answered 200 while callbacks can be recorded, else 503.',
      ),
    otherCommands: z
      .union([z.enum(['acknowledge', 'reject']), forward])
      .default('acknowledge')
      .describe(
        'What a callback of another command is answered. "Before" commands are refused either way, since an OK would allow the action, unless they are forwarded.',
      ),
    allowBefore: z
      .array(
        z.string().refine(isBeforeCallback, {
          error: 'a "before" command is expected, such as Group.CallbackBeforeSendMsg: others need no leave',
        }),
      )
      .min(1)
      .optional()
      .describe('"Before" commands that are answered OK unseen: the service then allows every such action.'),
    refuseBefore: z
      .union([z.literal(403), z.literal('errorCode')], { error: '403 or errorCode is expected' })
      .default(403)
      .describe(
        'How a "before" command is refused: by HTTP 403, which the service takes for a failed webhook and treats as the console says, or by `errorCode`: 200 with ErrorCode 1, which forbids the action.',
      ),
    rateLimit: z
      .union(
        [
          z.literal(false),
          z.strictObject({
            perSecond: whole(1, 1_000_000).describe('The most of one sender, as a mean over ten seconds.'),
          }),
        ],
        {
          error: 'false, or the most callbacks of one sender such as { perSecond: 1000 }, is expected',
        },
      )
      .optional()
      .describe(
        'The most callbacks of one address (of IPv6, one /64); further ones are answered 429. Left out, it is 1,000 a second as long as app.callbackTokens is not set, and this machine’s own addresses are not counted; false is no limit.',
      ),
    whenUnrecordable: z
      .enum(['hold', 'fail'])
      .default('hold')
      .describe(
        'When the journal cannot record: `hold` the answer past the service’s time-out of 2 s, which it may retry, or `fail` at once.',
      ),
    maxInFlight: whole(1, 1_000_000)
      .default(2_000)
      .describe(
        'At most so many callbacks wait for their answer at once; further ones are answered 503 without delay.',
      ),
    maxConnections: whole(1, 1_000_000)
      .default(10_000)
      .describe('At most so many connections; a new one then takes the place of the one that has been idle longest.'),
    keepAlive: duration
      .prefault('620s')
      .describe(
        'How long an idle connection is kept: longer than load balancers do, so that they end it, not the bridge.',
      ),
  })
  .refine(({ otherCommands, allowBefore }) => typeof otherCommands === 'string' || allowBefore === undefined, {
    path: ['allowBefore'],
    error: 'with otherCommands.forwardTo the handler answers "before" commands: leave one of the two out',
  })
  .refine(({ proxyProtocol, trustProxy }) => !proxyProtocol || trustProxy !== false, {
    path: ['trustProxy'],
    error:
      'the addresses of the load balancers are needed, since proxyProtocol is on: anybody else could say who they are',
  })
  // A slash at its end does not make it another path.
  .refine(({ path, healthPath }) => path !== healthPath && `${path}/` !== healthPath, {
    path: ['healthPath'],
    error: 'another path than receiver.path is expected',
  });

/** Returns a warning if anybody may send callbacks, else undefined. */
export function opennessOf({ app, receiver }: Pick<Config, 'app' | 'receiver'>): string | undefined {
  if (app.callbackTokens !== undefined || receiver.allowFrom !== undefined) return undefined;
  return 'no app.callbackTokens, no receiver.allowFrom: whoever reaches the receiver can send callbacks, and fill the journal';
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
      .describe('Asked for by everything but /healthz and /readyz; empty counts as not given.'),
  })
  .refine(({ host, token }) => isLoopback(host) || token !== undefined, {
    path: ['token'],
    error:
      'a token of at least 16 characters is needed, since admin.host is reachable by other machines: set it, or leave admin.host out to listen on 127.0.0.1 only',
  });

/** Stands for a receiver that was not configured; recognized by its identity. */
export const NO_RECEIVER = receiver.parse({});
