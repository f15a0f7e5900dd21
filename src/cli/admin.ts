import { z } from 'zod';
import { BridgeError, messageOf } from '../canon/fault.ts';
import { requireConfig } from './configuration.ts';

/** The admin server of a running bridge, as commands use it. */
export interface AdminClient {
  readonly url: string;
  get(path: string): Promise<unknown>;
  post(path: string, body: unknown): Promise<unknown>;
}

const refusal = z.object({ fault: z.object({ message: z.string(), suggestion: z.string().optional() }) });

/** `admin` names the address; without it, that of the configuration, which holds the token as well. */
export function adminClient(options: { admin?: URL; config?: string }): AdminClient {
  const { url, token } =
    options.admin === undefined ? configuredAdmin(options.config) : namedAdmin(options.admin, options.config);
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };

  const call = async (path: string, init: RequestInit): Promise<unknown> => {
    let response: Response;
    try {
      response = await fetch(url + path, init);
    } catch (thrown) {
      throw new BridgeError({
        code: 'bridge-unreachable',
        path: 'admin.port',
        message: `no bridge answers at ${url}: ${messageOf(thrown)}`,
        suggestion: 'start it with the same configuration, or name its address with --admin',
      });
    }
    const body: unknown = await response.json().catch(() => undefined);
    if (response.ok) return body;
    const said = refusal.safeParse(body);
    const { message, suggestion } = said.success
      ? said.data.fault
      : { message: `HTTP ${response.status}`, suggestion: undefined };
    if (response.status === 401) throw unauthorized(token, options.admin !== undefined);
    throw new BridgeError({ code: 'command-failed', message, ...(suggestion !== undefined && { suggestion }) });
  };
  return {
    url,
    get: (path) => call(path, { headers: authorization }),
    post: (path, body) =>
      call(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...authorization },
        body: JSON.stringify(body),
      }),
  };
}

interface Address {
  readonly url: string;
  readonly token: string | undefined;
}

function configuredAdmin(configName: string | undefined): Address {
  const { host, port, token } = requireConfig(configName).config.admin;
  return { url: `http://${reachable(host)}:${port}`, token };
}

/** The token is never an argument, which others on the machine can read: the configuration holds it, or ADMIN_TOKEN. */
function namedAdmin({ origin }: URL, config: string | undefined): Address {
  return { url: origin, token: configuredToken(config) ?? (process.env.ADMIN_TOKEN || undefined) };
}

/** The address is known already: a configuration that cannot be read is no matter, unless it was named. */
function configuredToken(configName: string | undefined): string | undefined {
  try {
    return requireConfig(configName).config.admin.token;
  } catch (thrown) {
    if (configName !== undefined || !(thrown instanceof BridgeError)) throw thrown;
    return undefined;
  }
}

/** Where this machine reaches what listens on every address. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

function unauthorized(token: string | undefined, named: boolean): BridgeError {
  const source = named
    ? 'set admin.token in the configuration of this command, or ADMIN_TOKEN in its environment, to the token of that bridge'
    : 'use the configuration that the bridge runs with; if admin.token changed in it, restart the bridge';
  return new BridgeError({
    code: token === undefined ? 'token-missing' : 'token-wrong',
    path: 'admin.token',
    message: token === undefined ? 'the bridge asks for its admin.token' : 'the bridge has another admin.token',
    suggestion: source,
  });
}
