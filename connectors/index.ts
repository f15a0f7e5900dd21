import { faultOf } from '../src/model/fault.ts';
import type { Connector, ConnectorContract, Finding, Holds, Host, Place, Sink } from './contract.ts';
import { elasticsearch } from './elasticsearch/connector.ts';
import { file } from './file/connector.ts';
import { http } from './http/connector.ts';
import { kafka } from './kafka/connector.ts';
import { kafkaSource as source } from './kafka/source.ts';
import { ownAt } from './own.ts';
import { postgres } from './postgres/connector.ts';

export { inputSchemaOf } from './options.ts';
export { findOwn } from './own.ts';

/** Every kind of destination, by hand: a new connector adds its line here. */
export const connectors = [kafka, elasticsearch, postgres, file, http] as const;

/** The AsyncAPI document of what Kafka connectors write. */
export { asyncApi } from './kafka/asyncapi.ts';

/** The kind of source that a worker reads; Kafka is the only one. */
export { source };

/** A configured connector: its options, as its schema gave them, and what says whose they are. */
export interface Configured {
  readonly kind: string;
  /** The file of a connector that the bridge did not bring along. */
  readonly module?: string | undefined;
}

export const openSink = (configured: Configured, host: Host, signal: AbortSignal): Promise<Sink> =>
  connectorOf(configured).open(configured, host, signal);

export const holdsOf = (configured: Configured): Holds => connectorOf(configured).holds(configured);

/** Returns where it writes. */
export const placesOf = (configured: Configured): readonly Place[] => connectorOf(configured).places(configured);

/** Returns whether group sinks of its kind are read back. */
export const readsBack = (configured: Configured): boolean => connectorOf(configured).readsBack;

/** Examines a destination as its connector does; what is thrown there is its last finding. */
export function examine(configured: Configured, host: Host, signal: AbortSignal): AsyncGenerator<Finding> {
  return untilFault('destination', () => connectorOf(configured).examine(configured, host, signal));
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

function connectorOf({ kind, module }: Configured): ConnectorContract<unknown> {
  if (module !== undefined) return ownAt(module);
  const connector = connectors.find((one) => one.kind === kind) as Connector<unknown> | undefined;
  if (connector === undefined) throw new TypeError(`no connector is called ${kind}`);
  return connector;
}
