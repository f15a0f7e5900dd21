import { hc } from 'hono/client';
import type { z } from 'zod';
import type { AdminApi } from '../admin/api.ts';
import { type ConnectorStatus, refusal, type Status, status } from '../admin/contract.ts';
import { admin } from '../config/listeners.ts';
import { BridgeError, messageOf } from '../model/fault.ts';
import { whichConnector } from '../model/text.ts';
import { type AdminOptions, clientConfig, misused, reachable } from './options.ts';

type Api = ReturnType<typeof hc<AdminApi>>['api'];
export type AdminClient = ReturnType<typeof adminClient>;

/** How long a status may take, since a hanging bridge still accepts connections. */
const STATUS_MS = 10_000;

/** Returns a client of a running bridge, which throws refusals as the faults that they name. */
export function adminClient(options: AdminOptions) {
  const { url, token } = addressOf(options);

  const send: typeof fetch = async (...request) => {
    let response: Response;
    let text: string;
    try {
      response = await fetch(...request);
      text = await response.text();
    } catch (thrown) {
      throw new BridgeError({
        code: 'bridge-unreachable',
        path: 'admin.port',
        message: `no bridge answers at ${url}: ${messageOf(thrown)}`,
        suggestion: 'start it, or name its configuration with --config or its address with --admin',
      });
    }
    if (response.ok) return new Response(text, { status: response.status });
    const refused = refusal.safeParse(parse(text, url));
    if (!refused.success) throw stranger(url, `HTTP ${response.status}`);
    throw response.status === 401 ? unauthorized(token, options) : new BridgeError(refused.data.fault);
  };
  const { api } = hc<AdminApi>(url, {
    fetch: send,
    // The admin server refuses a POST without a content-type, which a web page could send; `hc` sets it only with a body.
    headers: { 'content-type': 'application/json', ...(token !== undefined && { authorization: `Bearer ${token}` }) },
  });

  const ask = async <Answer extends z.ZodType>(
    answer: Answer,
    request: (api: Api) => Promise<{ text(): Promise<string> }>,
  ): Promise<z.output<Answer>> => answer.parse(parse(await (await request(api)).text(), url));
  const readStatus = (withinMs = STATUS_MS): Promise<Status> => {
    const init = { signal: AbortSignal.timeout(Math.min(withinMs, STATUS_MS)) };
    return ask(status, (api) => api.status.$get({}, { init }));
  };
  return {
    url,
    ask,
    status: readStatus,
    /** Throws a fault if none has this name. */
    async connector(name: string): Promise<ConnectorStatus> {
      const { connectors } = await readStatus();
      const found = connectors.find((one) => one.name === name);
      if (found !== undefined) return found;
      const names = connectors.map((one) => one.name);
      throw new BridgeError({
        code: 'connector-unknown',
        message: `no connector called ${name} runs there`,
        suggestion: whichConnector(name, names),
      });
    },
  };
}

/** Returns a parameter of a path, which `hc` does not encode. An empty one would make it another path. */
export function inPath<Key extends string>(key: Key, value: string) {
  if (value === '') throw misused(`${key}: at least 1 character is expected`);
  return { [key]: encodeURIComponent(value) } as { [Name in Key]: string };
}

function parse(text: string, url: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw stranger(url, 'its answer is not JSON');
  }
}

function stranger(url: string, why: string): BridgeError {
  return new BridgeError({
    code: 'command-failed',
    path: 'admin.port',
    message: `what answers at ${url} is not the admin server of a bridge: ${why}`,
    suggestion: 'check admin.port in the configuration of that bridge, or the address in --admin',
  });
}

/** The token comes from the configuration or ADMIN_TOKEN: arguments can be read by others on the machine. */
function addressOf(options: AdminOptions): { readonly url: string; readonly token: string | undefined } {
  if (options.admin !== undefined) {
    return { url: options.admin.origin, token: tokenOfEnvironment() ?? clientConfig(options)?.admin.token };
  }
  // Without --admin, an unreadable configuration is thrown.
  const { host = '', port = 0, token } = clientConfig(options)?.admin ?? {};
  return { url: `http://${reachable(host)}:${port}`, token };
}

/** An impossible token must not become a header: the error would show it. */
function tokenOfEnvironment(): string | undefined {
  const { success, data, error } = admin.shape.token.safeParse(process.env.ADMIN_TOKEN);
  if (success) return data;
  throw new BridgeError({ code: 'token-wrong', message: `ADMIN_TOKEN: ${error.issues[0]?.message}` });
}

function unauthorized(token: string | undefined, options: AdminOptions): BridgeError {
  return new BridgeError({
    code: token === undefined ? 'token-missing' : 'token-wrong',
    path: 'admin.token',
    message: token === undefined ? 'the bridge requires its admin.token' : 'the bridge has another admin.token',
    suggestion:
      options.admin === undefined
        ? 'use the configuration that the bridge runs with; if admin.token changed in it, restart the bridge'
        : 'set admin.token in the configuration of this command, or ADMIN_TOKEN in its environment, to the token of that bridge',
  });
}
