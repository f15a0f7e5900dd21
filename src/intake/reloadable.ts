import { contains } from '../model/address.ts';
import { type ReceiverConfig, type ReceiverPorts, receiverSettings } from './context.ts';
import { createForwarder } from './forward.ts';
import { createReceiver } from './receiver.ts';

/** Creates a receiver whose configuration can be exchanged while requests come in. */
export function createReloadableReceiver(config: ReceiverConfig, ports: Omit<ReceiverPorts, 'forward' | 'recording'>) {
  let recording = true;
  ports.signals.on('journal.failed', () => {
    recording = false;
  });
  ports.signals.on('journal.recovered', () => {
    recording = true;
  });
  const create = (config: ReceiverConfig) => {
    const settings = receiverSettings(config);
    const { otherCommands } = config.receiver;
    const forwarder = typeof otherCommands === 'string' ? undefined : createForwarder(otherCommands);
    const { fetch } = createReceiver(settings, { ...ports, ...forwarder, recording: () => recording });
    return { fetch, proxies: settings.proxies, close: () => forwarder?.close() };
  };
  let current = create(config);
  return {
    isProxy: (address: string | undefined): boolean =>
      current.proxies !== undefined && contains(current.proxies, address),
    fetch: (request: Request, bindings: object) => current.fetch(request, bindings),
    /**
     * Prepares another receiver; throws a BridgeError if a file it needs is unusable. The returned function puts it in
     * place: it answers the requests that follow, while those in flight end as they began.
     */
    prepare(next: ReceiverConfig): () => void {
      const prepared = create(next);
      return () => {
        current.close();
        current = prepared;
      };
    },
    close: () => current.close(),
  };
}
