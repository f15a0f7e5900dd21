import { hc } from 'hono/client';
import { z } from 'zod';
import type { AdminApi } from '../admin/api.ts';
import { type ConnectorStatus, refusal, type Status, status } from '../admin/contract.ts';
import { BridgeError, messageOf } from '../model/fault.ts';
import { nearest } from '../model/text.ts';
import { reachable, requireConfig } from './configuration.ts';

/** An answer without content: that it came says all. */
export const noContent = z.object({});

type Api = ReturnType<typeof hc<AdminApi>>['api'];

/** The options of every command that speaks to a running bridge. */
export interface AdminOptions {
  readonly config?: string;
  /** Without it, the configuration names the address. */
  readonly admin?: URL;
  readonly json?: boolean;
}

/** The admin API of a running bridge. What it refuses is thrown as the fault that it names. */
export interface AdminClient {
  readonly url: string;
  /** Resolves with the checked answer. */
  ask<Answer extends z.ZodType>(
    answer: Answer,
    request: (api: Api) => Promise<{ text(): Promise<string> }>,
  ): Promise<z.output<Answer>>;
  status(): Promise<Status>;
  connector(name: string): Promise<ConnectorStatus>;
}

export function adminClient(options: AdminOptions): AdminClient {
  const { url, token } =
    options.admin === undefined ? configuredAdmin(options.config) : namedAdmin(options.admin, options.config);

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
        suggestion: 'start it with the same configuration, or name its address with --admin',
      });
    }
    if (response.ok) return new Response(text, { status: response.status });
    const refused = refusal.safeParse(parse(text, url));
    if (!refused.success) throw stranger(url, `HTTP ${response.status}`);
    if (response.status === 401) throw unauthorized(token, options.admin !== undefined);
    throw new BridgeError(refused.data.fault);
  };
  const { api } = hc<AdminApi>(url, {
    fetch: send,
    // The admin server refuses a POST without it, since a web page could send that; `hc` sets it for a body only.
    headers: { 'content-type': 'application/json', ...(token !== undefined && { authorization: `Bearer ${token}` }) },
  });

  const client: AdminClient = {
    url,
    ask: async (answer, request) => answer.parse(parse(await (await request(api)).text(), url)),
    status: () => client.ask(status, (api) => api.status.$get()),
    connector: async (name) => {
      const { connectors } = await client.status();
      return connectors.find((one) => one.name === name) ?? unknownConnector(name, connectors);
    },
  };
  return client;
}

/** Returns a connector's name as a parameter of a path: `hc` puts it there as it is. */
export function inPath(name: string): { name: string } {
  return { name: encodeURIComponent(name) };
}

function unknownConnector(name: string, connectors: readonly ConnectorStatus[]): never {
  const names = connectors.map((one) => one.name);
  const near = nearest(name, names);
  throw new BridgeError({
    code: 'connector-unknown',
    message: `no connector called ${name} runs there`,
    suggestion: `${near === undefined ? '' : `did you mean ${near}? `}these do: ${names.join(', ')}`,
  });
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
    suggestion: 'see admin.port in the configuration of that bridge, or the address that --admin names',
  });
}

interface Address {
  readonly url: string;
  readonly token: string | undefined;
}

function configuredAdmin(config: string | undefined): Address {
  const { host, port, token } = requireConfig(config).config.admin;
  return { url: `http://${reachable(host)}:${port}`, token };
}

/** The token is never an argument, which others on the machine can read: the configuration holds it, or ADMIN_TOKEN. */
function namedAdmin({ origin }: URL, config: string | undefined): Address {
  return { url: origin, token: process.env.ADMIN_TOKEN || configuredToken(config) };
}

/** The address is known already: a configuration that cannot be read does not matter, unless it was named. */
function configuredToken(config: string | undefined): string | undefined {
  try {
    return requireConfig(config).config.admin.token;
  } catch (thrown) {
    if (config !== undefined || !(thrown instanceof BridgeError)) throw thrown;
    return undefined;
  }
}

function unauthorized(token: string | undefined, named: boolean): BridgeError {
  const suggestion = named
    ? 'set admin.token in the configuration of this command, or ADMIN_TOKEN in its environment, to the token of that bridge'
    : 'use the configuration that the bridge runs with; if admin.token changed in it, restart the bridge';
  return new BridgeError({
    code: token === undefined ? 'token-missing' : 'token-wrong',
    path: 'admin.token',
    message: token === undefined ? 'the bridge asks for its admin.token' : 'the bridge has another admin.token',
    suggestion,
  });
}
