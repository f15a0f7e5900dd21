import { z } from 'zod';
import { BridgeError, messageOf } from '../canon/fault.ts';
import { requireConfig } from './configuration.ts';

/** The admin server of a running bridge, as commands use it. */
export interface AdminClient {
  readonly url: string;
  get(path: string): Promise<unknown>;
  post(path: string, body: unknown): Promise<unknown>;
}

const refusal = z.object({
  fault: z.object({ code: z.string().optional(), message: z.string(), suggestion: z.string().optional() }),
});

/** `admin` names the address; without it, that of the configuration. */
export function adminClient(options: { admin?: URL; config?: string }): AdminClient {
  const url = options.admin?.origin ?? configuredAdmin(options.config);

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
    const { message, suggestion, code } = said.success
      ? said.data.fault
      : { message: `HTTP ${response.status}`, suggestion: undefined, code: undefined };
    // The only one of the bridge's faults that concerns what the person wrote.
    const own = code === 'config-invalid' ? code : 'command-failed';
    throw new BridgeError({ code: own, message, ...(suggestion !== undefined && { suggestion }) });
  };
  return {
    url,
    get: (path) => call(path, {}),
    post: (path, body) =>
      call(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  };
}

function configuredAdmin(configName: string | undefined): string {
  const { host, port } = requireConfig(configName).config.admin;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
