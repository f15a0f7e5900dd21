import { z } from 'zod';
import { hostOf } from '../../src/model/address.ts';
import { password } from '../../src/model/secret.ts';
import { tlsOrNot } from '../tls.ts';

const URL_EXPECTED =
  'a URL is expected with a host and a database and nothing after them, such as postgresql://127.0.0.1:5432/chat; put a password with other characters than letters and digits in auth, or percent-encode it';

function isDatabaseUrl(text: string): boolean {
  if (!/^postgres(ql)?:\/\//i.test(text) || !URL.canParse(text)) return false;
  const { hostname, pathname, search, hash } = new URL(text);
  return hostname !== '' && /^\/[^/]+$/.test(pathname) && isDecodable(text) && search === '' && hash === '';
}

function isDecodable(text: string): boolean {
  try {
    return decodeURIComponent(text) !== '';
  } catch {
    return false;
  }
}

/** An invalid URL is reported elsewhere. */
const userIn = (url: string): string => (URL.canParse(url) ? new URL(url).username : '');

/** PostgreSQL truncates longer names, and would then find another table. */
function isTableName(text: string): boolean {
  const parts = text.split('.');
  return parts.length <= 2 && parts.every((part) => /^[^\s"\p{Cc}]+$/u.test(part) && Buffer.byteLength(part) <= 63);
}

export const postgresOptions = z
  .strictObject({
    url: z
      .string()
      .refine(isDatabaseUrl, { error: URL_EXPECTED })
      .describe('The server and the database: postgresql://host:5432/database. A user may stand in it, or in `auth`.'),
    table: z
      .string()
      .refine(isTableName, {
        error: 'a table is expected, or schema.table: each at most 63 bytes, without blanks and quotes',
      })
      .describe(
        'The table, or schema.table, spelt as PostgreSQL keeps it: in lower case unless it was made in quotes.',
      ),
    content: z
      .enum(['groups', 'events'])
      .default('groups')
      .describe('groups: one row a group, its merged state. events: history, one row an event.'),
    createTable: z
      .boolean()
      .default(true)
      .describe('Whether the table is created when it is missing; false = it must exist.'),
    auth: z
      .strictObject({
        username: z.string().min(1).describe('The role.'),
        password: password
          .optional()
          .describe('Best from the environment or a secret file; left out where none is asked for.'),
      })
      .optional()
      .describe('Who asks.'),
    tls: tlsOrNot.describe('TLS to the server; `true`: verified against the system’s authorities.'),
    statementTimeoutMs: z
      .int()
      .min(100)
      .max(600_000)
      .default(30_000)
      .describe('Milliseconds until the server gives up a statement (statement_timeout).'),
  })
  .refine(({ auth, url }) => auth === undefined || userIn(url) === '', {
    path: ['auth'],
    error: 'url holds a user name already: leave one of the two out',
  })
  .refine(({ auth, url }) => auth !== undefined || userIn(url) !== '', {
    path: ['auth'],
    error: 'a user is expected: auth with username and password',
  });

export type PostgresOptions = z.output<typeof postgresOptions>;

/** Returns the parts of the URL, decoded. */
export function addressOf({ url, auth }: Pick<PostgresOptions, 'url' | 'auth'>) {
  const parts = new URL(url);
  const { port, pathname, username, password } = parts;
  const plain = (text: string): string => decodeURIComponent(text);
  return {
    host: hostOf(parts),
    port: Number(port || 5432),
    database: plain(pathname.slice(1)),
    user: auth?.username ?? plain(username),
    password: auth === undefined ? plain(password) : (auth.password ?? ''),
  };
}
