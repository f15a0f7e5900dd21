import { type Config, toAddressList } from '../config/schema.ts';
import { readAuthority } from '../http/certificate.ts';
import { createForwarder, type Forwarder } from './forward.ts';
import { createReceiver, type ReceiverPorts, type ReceiverSettings } from './receiver.ts';

type IntakeConfig = Pick<Config, 'app' | 'receiver'>;

/** The receiver behind the port: what it is configured to be can be exchanged while requests come in. */
export interface Intake {
  fetch(request: Request, bindings: object): Response | Promise<Response>;
  /**
   * Makes another receiver ready; throws a BridgeError when a file it needs cannot be used. What is returned brings it
   * in: requests that come after are its own, those in flight end as they began.
   */
  prepare(config: IntakeConfig): () => void;
  /** Ends connections to a handler behind the bridge. */
  close(): void;
}

interface Generation {
  readonly fetch: Intake['fetch'];
  /** Lets requests in flight end, then closes what they need. */
  retire(): void;
  close(): void;
}

export function createIntake(config: IntakeConfig, ports: Omit<ReceiverPorts, 'forward'>): Intake {
  let current = createGeneration(config, ports);
  return {
    fetch: (request, bindings) => current.fetch(request, bindings),
    prepare(next) {
      const prepared = createGeneration(next, ports);
      return () => {
        const before = current;
        current = prepared;
        before.retire();
      };
    },
    close: () => current.close(),
  };
}

function createGeneration(config: IntakeConfig, ports: Omit<ReceiverPorts, 'forward'>): Generation {
  const forwarder = forwarderOf(config);
  if (forwarder === undefined) {
    const { fetch } = createReceiver(receiverSettings(config), ports);
    return { fetch, retire() {}, close() {} };
  }
  const { fetch } = createReceiver(receiverSettings(config), { ...ports, forward: forwarder.forward });
  let inFlight = 0;
  let retired = false;
  return {
    async fetch(request, bindings) {
      inFlight++;
      try {
        return await fetch(request, bindings);
      } finally {
        inFlight--;
        if (retired && inFlight === 0) forwarder.close();
      }
    },
    retire() {
      retired = true;
      if (inFlight === 0) forwarder.close();
    },
    close: forwarder.close,
  };
}

function receiverSettings({ app, receiver }: IntakeConfig): ReceiverSettings {
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

function forwarderOf({ receiver: { otherCommands } }: IntakeConfig): Forwarder | undefined {
  if (typeof otherCommands === 'string') return undefined;
  const { caFile, ...settings } = otherCommands;
  return createForwarder({ ...settings, ca: caFile && readAuthority('receiver.otherCommands.caFile', caFile) });
}
