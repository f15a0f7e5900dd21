import { faultOf } from '../src/model/fault.ts';
import type { Connector, Finding, Host, Sink } from './contract.ts';
import { elasticsearch } from './elasticsearch/connector.ts';
import { file } from './file/connector.ts';
import { kafka } from './kafka/connector.ts';

/** Every kind of destination, by hand: a new connector adds its line here. */
export const connectors = [kafka, elasticsearch, file] as const;

/** Opens a sink of the given kind; `options` are what that connector's own schema gave. */
export function openSink(kind: string, options: unknown, host: Host, signal: AbortSignal): Promise<Sink> {
  return connectorOf(kind).open(options, host, signal);
}

/** Examines a destination of the given kind as its connector does; what is thrown there is its last finding. */
export async function* examine(
  kind: string,
  options: unknown,
  host: Host,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const connector = connectorOf(kind);
  try {
    if (connector.examine !== undefined) {
      yield* connector.examine(options, host, signal);
      return;
    }
    const sink = await connector.open(options, host, signal);
    try {
      await sink.check(signal);
    } finally {
      await sink.close();
    }
    yield { step: 'destination', state: 'well', says: 'reached' };
  } catch (thrown) {
    const fault = faultOf(thrown, 'destination-unreachable');
    yield { step: 'destination', state: 'wrong', says: fault.message, fault };
  }
}

function connectorOf(kind: string): Connector<unknown> {
  const connector = connectors.find((one) => one.kind === kind) as Connector<unknown> | undefined;
  if (connector === undefined) throw new TypeError(`no connector is called ${kind}`);
  return connector;
}
