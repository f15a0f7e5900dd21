import { toAddressList } from '../config/listeners.ts';
import type { Config } from '../config/schema.ts';
import { readAuthority } from '../http/certificate.ts';
import { createForwarder, type Forwarder } from './forward.ts';
import { createReceiver, type ReceiverPorts, type ReceiverSettings } from './receiver.ts';

type ReceiverConfig = Pick<Config, 'app' | 'receiver'>;
type Ports = Omit<ReceiverPorts, 'forward'>;

/** A receiver whose configuration can be exchanged while requests come in. */
export interface ReloadableReceiver {
  fetch(request: Request, bindings: object): Response | Promise<Response>;
  /**
   * Makes another receiver ready; throws a BridgeError when a file it needs cannot be used. Calling what is returned puts
   * it in place: it answers the requests that come after, and those in flight end as they began.
   */
  prepare(config: ReceiverConfig): () => void;
  /** Ends the connections to the upstream handler. */
  close(): void;
}

export function createReloadableReceiver(config: ReceiverConfig, ports: Ports): ReloadableReceiver {
  let current = createGeneration(config, ports);
  return {
    fetch: (request, bindings) => current.fetch(request, bindings),
    prepare(next) {
      const prepared = createGeneration(next, ports);
      return () => {
        current.close();
        current = prepared;
      };
    },
    close: () => current.close(),
  };
}

function createGeneration(config: ReceiverConfig, ports: Ports): Pick<ReloadableReceiver, 'fetch' | 'close'> {
  const settings = receiverSettings(config);
  const forwarder = forwarderOf(config);
  if (forwarder === undefined) return { fetch: createReceiver(settings, ports).fetch, close() {} };
  const { forward, close } = forwarder;
  return { fetch: createReceiver(settings, { ...ports, forward }).fetch, close };
}

function receiverSettings({ app, receiver }: ReceiverConfig): ReceiverSettings {
  const { otherCommands, allowFrom, trustProxy, allowBefore, ...others } = receiver;
  return {
    ...others,
    sdkAppId: app.sdkAppId,
    sign: app.callbackTokens && { tokens: app.callbackTokens, windowMs: app.signWindow },
    allowed: allowFrom && toAddressList(allowFrom),
    proxies: trustProxy === false ? undefined : toAddressList(trustProxy),
    otherCommands: typeof otherCommands === 'string' ? otherCommands : 'forward',
    forwardAll: typeof otherCommands !== 'string' && otherCommands.forwardAll,
    allowBefore: new Set(allowBefore),
  };
}

function forwarderOf({ receiver: { otherCommands } }: ReceiverConfig): Forwarder | undefined {
  if (typeof otherCommands === 'string') return undefined;
  const { caFile, ...settings } = otherCommands;
  return createForwarder({ ...settings, ca: caFile && readAuthority('receiver.otherCommands.caFile', caFile) });
}
