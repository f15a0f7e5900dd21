/** How a client authenticates. kafkajs handles passwords; with a token it does not notice a broker's refusal. */
import type { Mechanism, SASLOptions } from 'kafkajs';
import { z } from 'zod';
import { type FaultCode, messageOf, Unreachable } from '../../src/model/fault.ts';
import { jsonIn } from '../../src/model/json.ts';
import { awsUser, credentialsOf } from '../aws.ts';
import { MSK_TOKEN_SECONDS, mskToken } from './msk.ts';
import type { AwsOptions, ClientOptions, OauthOptions, SaslOptions } from './options.ts';

export function userOf(sasl: SaslOptions): string {
  if ('username' in sasl) return sasl.username;
  return 'clientId' in sasl ? sasl.clientId : awsUser(sasl);
}

export function saslOf(place: ClientOptions): SASLOptions | Mechanism | undefined {
  const { sasl } = place;
  if (sasl === undefined || 'username' in sasl) return sasl as SASLOptions | undefined;
  return {
    mechanism: 'oauthbearer',
    authenticationProvider: ({ saslAuthenticate }) => ({
      async authenticate(): Promise<void> {
        const token = await tokenFor(sasl, place);
        const message = firstMessage(token.value, 'extensions' in sasl ? sasl.extensions : {});
        // Forgotten unless accepted: the next attempt then asks for another.
        tokens.delete(sasl);
        const said = await saslAuthenticate({
          request: { encode: () => withLength(message) },
          response: { decode: (data: Buffer) => data, parse: (data: Buffer) => data.subarray(4).toString() },
        });
        if (said) throw trouble(place, 'destination-credentials', '', `the token is refused: ${said}`, AT_BROKER);
        tokens.set(sasl, token);
      },
    }),
  };
}

const AT_BROKER = 'see whom the brokers trust, for what, and that the clock of this machine is right';

/** RFC 7628: a client's first message, with U+0001 between the fields. */
function firstMessage(token: string, extensions: Readonly<Record<string, string>>): string {
  const fields = [`auth=Bearer ${token}`, ...Object.entries(extensions).map((field) => field.join('='))];
  return `n,,\u0001${fields.join('\u0001')}\u0001\u0001`;
}

function withLength(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

interface Token {
  readonly value: string;
  /** By performance.now(). */
  readonly freshUntil: number;
}

/** By settings, which outlive the clients. */
const tokens = new WeakMap<SaslOptions, Token>();

/** Renews a token in the last fifth, or half minute, of its life: a broker may ask again before it expires. */
async function tokenFor(sasl: OauthOptions | AwsOptions, place: ClientOptions): Promise<Token> {
  const known = tokens.get(sasl);
  if (known !== undefined && performance.now() < known.freshUntil) return known;
  const asked = performance.now();
  const { access_token: value, expires_in: seconds } =
    'region' in sasl ? await signToken(sasl, place) : await askForToken(sasl, place);
  return { value, freshUntil: asked + Math.min(seconds * 0.8, seconds - 30) * 1_000 };
}

const granted = z.object({ access_token: z.string().min(1), expires_in: z.coerce.number().default(0) });
const denied = z.object({ error: z.string(), error_description: z.string().optional() });

async function askForToken(sasl: OauthOptions, place: ClientOptions): Promise<z.output<typeof granted>> {
  const { tokenEndpoint, clientId, clientSecret, scope, parameters } = sasl;
  const fail = (code: FaultCode, message: string, suggestion: string, setting = '.tokenEndpoint') =>
    trouble(place, code, setting, `${new URL(tokenEndpoint).origin} ${message}`, suggestion);
  const user = [clientId, clientSecret].map(encodeURIComponent).join(':');
  let status: number;
  let text: string;
  try {
    const answer = await fetch(tokenEndpoint, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(user).toString('base64')}`, accept: 'application/json' },
      body: new URLSearchParams({ grant_type: 'client_credentials', ...(scope && { scope }), ...parameters }),
      redirect: 'manual',
      signal: AbortSignal.timeout(place.requestTimeoutMs),
    });
    ({ status } = answer);
    text = await answer.text();
  } catch (thrown) {
    const { cause } = thrown as Error;
    const said = messageOf(cause ?? thrown);
    throw fail('destination-unreachable', `gives no token: ${said}`, 'can it be reached from here?');
  }
  const body = jsonIn(text);
  const token = granted.safeParse(body);
  if (status === 200 && token.success) return token.data;
  if (status === 429 || status >= 500) {
    throw fail('destination-unreachable', `gives no token: it answers ${status}`, 'this goes on by itself');
  }
  const { data } = denied.safeParse(body);
  if (data === undefined) {
    const suggestion = 'compare the address: a token endpoint answers with JSON that holds access_token';
    throw fail('destination-misconfigured', `gives no token: it answers ${status}`, suggestion);
  }
  const said = [data.error, data.error_description].filter(Boolean).join(': ');
  throw fail('destination-credentials', `gives no token: ${said}`, 'correct clientId, clientSecret or scope', '');
}

async function signToken(sasl: AwsOptions, { path }: ClientOptions): Promise<z.output<typeof granted>> {
  const credentials = await credentialsOf(sasl, `${path}.sasl`);
  return { access_token: mskToken(sasl.region, credentials, Date.now()), expires_in: MSK_TOKEN_SECONDS };
}

function trouble(
  { path }: ClientOptions,
  code: FaultCode,
  setting: string,
  message: string,
  suggestion: string,
): Unreachable {
  return new Unreachable({ code, message, path: `${path}.sasl${setting}`, suggestion });
}
