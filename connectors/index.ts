import type { Connector, Host, Sink } from './contract.ts';
import { elasticsearch } from './elasticsearch/connector.ts';
import { file } from './file/connector.ts';
import { kafka } from './kafka/connector.ts';

/** Every kind of destination, by hand: a new connector adds its line here. */
export const connectors = [kafka, elasticsearch, file] as const;

/** Opens a sink of the given kind; `options` are what that connector's own schema gave. */
export function openSink(kind: string, options: unknown, host: Host, signal: AbortSignal): Promise<Sink> {
  const connector = connectors.find((one) => one.kind === kind) as Connector<unknown> | undefined;
  if (connector === undefined) throw new TypeError(`no connector is called ${kind}`);
  return connector.open(options, host, signal);
}
