import { faultOf } from '../src/model/fault.ts';
import type { Connector, Finding, Holds, Host, Place, Sink } from './contract.ts';
import { elasticsearch } from './elasticsearch/connector.ts';
import { file } from './file/connector.ts';
import { kafka } from './kafka/connector.ts';
import { kafkaSource as source } from './kafka/source.ts';

/** Every kind of destination, by hand: a new connector adds its line here. */
export const connectors = [kafka, elasticsearch, file] as const;

/** The AsyncAPI document of what Kafka connectors write. */
export { asyncApi } from './kafka/asyncapi.ts';

/** The kind of source that a worker reads; Kafka is the only one. */
export { source };

/** Opens a sink of the given kind; `options` are what that connector's own schema gave. */
export const openSink = (kind: string, options: unknown, host: Host, signal: AbortSignal): Promise<Sink> =>
  connectorOf(kind).open(options, host, signal);

/** Returns what a connector of the given kind holds with these options. */
export const holdsOf = (kind: string, options: unknown): Holds => connectorOf(kind).holds(options);

/** Returns where a connector of the given kind writes with these options. */
export const placesOf = (kind: string, options: unknown): readonly Place[] => connectorOf(kind).places(options);

/** Returns whether group sinks of the given kind are read back. */
export const readsBack = (kind: string): boolean => connectorOf(kind).readsBack;

/** Examines a destination of the given kind as its connector does; what is thrown there is its last finding. */
export function examine(kind: string, options: unknown, host: Host, signal: AbortSignal): AsyncGenerator<Finding> {
  return untilFault('destination', () => connectorOf(kind).examine(options, host, signal));
}

/** Examines the source of a worker in the same way. */
export const examineSource: typeof source.examine = (options, connectors, signal) =>
  untilFault('source', () => source.examine(options, connectors, signal));

async function* untilFault(step: string, findings: () => AsyncIterable<Finding>): AsyncGenerator<Finding> {
  try {
    yield* findings();
  } catch (thrown) {
    const fault = faultOf(thrown, 'destination-unreachable');
    yield { step, state: 'wrong', says: fault.message, fault };
  }
}

function connectorOf(kind: string): Connector<unknown> {
  const connector = connectors.find((one) => one.kind === kind) as Connector<unknown> | undefined;
  if (connector === undefined) throw new TypeError(`no connector is called ${kind}`);
  return connector;
}
