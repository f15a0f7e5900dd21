/** What deliveries rely on, looked at without sending an event. */
import { Unreachable } from '../../src/model/fault.ts';
import type { Finding, Host } from '../contract.ts';
import { openEndpoint } from './endpoint.ts';
import type { HttpOptions } from './options.ts';

export async function* examineEndpoint(options: HttpOptions, host: Host, signal: AbortSignal): AsyncGenerator<Finding> {
  const endpoint = await openEndpoint(options, host, signal);
  endpoint.close();
  const fault = await endpoint.whyPlainFails();
  if (fault !== undefined) throw new Unreachable(fault);
  const { origin, address } = endpoint;
  yield { step: 'endpoint', state: 'well', says: `${origin} reached at ${address}; nothing was sent` };
  const { length } = options.secrets ?? [];
  yield length === 0
    ? { step: 'signature', state: 'note', says: 'none: without secrets the endpoint cannot verify the sender' }
    : { step: 'signature', state: 'well', says: `with ${length === 1 ? 'one secret' : `${length} secrets`}` };
}
