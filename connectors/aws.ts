/** AWS for all connectors: whose key signs, and Signature Version 4 itself. */
import { createHash, createHmac } from 'node:crypto';
import { z } from 'zod';
import { type FaultCode, messageOf, Unreachable } from '../src/model/fault.ts';
import { password } from '../src/model/secret.ts';

export const awsKey = {
  region: z.string().regex(/^[a-z0-9-]+$/, { error: 'a region is expected, such as eu-central-1' }),
  accessKeyId: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Without it the credentials are those of the environment, by the package @aws-sdk/credential-provider-node.',
    ),
  secretAccessKey: password.optional().describe('Its secret; best from the environment or a secret file.'),
  sessionToken: password.optional().describe('Where the key is a temporary one.'),
};

type AwsKey = z.output<z.ZodObject<typeof awsKey>>;

export function isWholeKey({ accessKeyId, secretAccessKey, sessionToken }: AwsKey): boolean {
  return secretAccessKey === undefined
    ? accessKeyId === undefined && sessionToken === undefined
    : accessKeyId !== undefined;
}

export const WHOLE_KEY = { error: 'accessKeyId and secretAccessKey belong together, and sessionToken to them' };

export const awsUser = ({ accessKeyId }: AwsKey): string => accessKeyId ?? 'the AWS role of this environment';

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

const CHAIN = '@aws-sdk/credential-provider-node';

/** By settings. Each provider caches its credentials, and renews them minutes before they expire. */
const providers = new WeakMap<AwsKey, () => Promise<AwsCredentials>>();

/** Returns current credentials. `setting` is the key's path in the YAML. Throws Unreachable. */
export async function credentialsOf(key: AwsKey, setting: string): Promise<AwsCredentials> {
  const { accessKeyId, secretAccessKey, sessionToken } = key;
  if (accessKeyId !== undefined && secretAccessKey !== undefined) return { accessKeyId, secretAccessKey, sessionToken };
  const trouble = (code: FaultCode, message: string, suggestion: string): Unreachable =>
    new Unreachable({ code, message, path: setting, suggestion });
  let provider = providers.get(key);
  if (provider === undefined) {
    try {
      // AWS's own sources of credentials, many and heavy, are in a package that few need.
      const chain: { defaultProvider(): () => Promise<AwsCredentials> } = await import(CHAIN);
      provider = chain.defaultProvider();
    } catch {
      const suggestion = `npm install ${CHAIN}, or give accessKeyId and secretAccessKey`;
      throw trouble('destination-misconfigured', `the package ${CHAIN} is not installed`, suggestion);
    }
    providers.set(key, provider);
  }
  try {
    return await provider();
  } catch (thrown) {
    const suggestion = 'give this machine a role, or set accessKeyId and secretAccessKey';
    throw trouble('destination-credentials', `AWS: ${messageOf(thrown)}`, suggestion);
  }
}

export const ALGORITHM = 'AWS4-HMAC-SHA256';
export const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
/** Like `encodeURIComponent`, but also encodes what RFC 3986 reserves beyond that. */
export const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);

interface Signable {
  readonly method: string;
  /** As sent. All services but S3 expect it to be encoded a second time. */
  readonly path: string;
  readonly query: Iterable<readonly [name: string, value: string]>;
  /** The signed headers, by lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly bodyHash: string;
}

/** The time and scope of a signature, as AWS writes them; `now` is in ms since 1970. */
export function scopeOf(region: string, service: string, now: number) {
  const time = new Date(now).toISOString().replace(/[-:]|\.\d+/g, '');
  return { time, parts: [time.slice(0, 8), region, service, 'aws4_request'] };
}

type Scope = ReturnType<typeof scopeOf>;

export function signatureOf(
  { method, path, query, headers, bodyHash }: Signable,
  { time, parts }: Scope,
  secret: string,
) {
  const names = Object.keys(headers).sort();
  // Separated by a line end while sorting, since it precedes everything that a name may hold.
  const fields = Array.from(query, (field) => field.map(encode).join('\n')).sort();
  const canonical = [
    method,
    path.split('/').map(encode).join('/'),
    fields.map((field) => field.replace('\n', '=')).join('&'),
    ...names.map((name) => `${name}:${headers[name]}`),
    '',
    names.join(';'),
    bodyHash,
  ].join('\n');
  const key = parts.reduce<string | Buffer>((key, part) => hmac(key, part), `AWS4${secret}`);
  return hmac(key, [ALGORITHM, time, parts.join('/'), sha256(canonical)].join('\n')).toString('hex');
}
