import { z } from 'zod';
import { BridgeError, messageOf } from '../model/fault.ts';
import { reachable, requireConfig } from './configuration.ts';

/** The admin server of a running bridge, as commands use it. */
export interface AdminClient {
  readonly url: string;
  get(path: string): Promise<unknown>;
  /** Of what is not JSON: the metrics. */
  text(path: string): Promise<string>;
  post(path: string, body: unknown): Promise<unknown>;
}

const refusal = z.object({
  fault: z.object({ code: z.string().optional(), message: z.string(), suggestion: z.string().optional() }),
});
/** The bridge's faults that concern what the person wrote: exit 2. */
const WRITTEN_WRONG = ['connector-unknown', 'config-invalid'] as const;

/** `admin` names the address; without it, that of the configuration, which holds the token as well. */
export function adminClient(options: { admin?: URL; config?: string }): AdminClient {
  const { url, token } =
    options.admin === undefined ? configuredAdmin(options.config) : namedAdmin(options.admin, options.config);
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };

  const call = async (path: string, init: RequestInit): Promise<string> => {
    let response: Response;
    let text: string;
    try {
      response = await fetch(url + path, init);
      text = await response.text();
    } catch (thrown) {
      throw new BridgeError({
        code: 'bridge-unreachable',
        path: 'admin.port',
        message: `no bridge answers at ${url}: ${messageOf(thrown)}`,
        suggestion: 'start it with the same configuration, or name its address with --admin',
      });
    }
    if (response.ok) return text;
    const said = refusal.safeParse(parsed(text));
    if (!said.success) throw stranger(`HTTP ${response.status}`);
    const { code, message, suggestion } = said.data.fault;
    if (response.status === 401) throw unauthorized(token, options.admin !== undefined);
    const own = WRITTEN_WRONG.find((one) => one === code) ?? 'command-failed';
    throw new BridgeError({ code: own, message, ...(suggestion !== undefined && { suggestion }) });
  };
  const stranger = (said: string): BridgeError =>
    new BridgeError({
      code: 'command-failed',
      path: 'admin.port',
      message: `what answers at ${url} is not the admin server of a bridge: ${said}`,
      suggestion: 'see admin.port in the configuration of that bridge, or the address that --admin names',
    });
  const parsed = (text: string): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      throw stranger('its answer is not JSON');
    }
  };
  return {
    url,
    get: async (path) => parsed(await call(path, { headers: authorization })),
    text: (path) => call(path, { headers: authorization }),
    post: async (path, body) =>
      parsed(
        await call(path, {
          method: 'POST',
          headers: { 'content-type': 'application/json', ...authorization },
          body: JSON.stringify(body),
        }),
      ),
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
  return { url: origin, token: process.env.ADMIN_TOKEN || configuredToken(config) };
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
