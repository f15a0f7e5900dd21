import type { z } from 'zod';
import type { CanonicalEvent } from '../src/model/event.ts';
import { faultOf } from '../src/model/fault.ts';
import type { ShapeProblem, ShapeSettings } from '../src/model/shape.ts';
import type {
  Connector,
  ConnectorContract,
  Finding,
  Holds,
  Host,
  Place,
  ShapePart,
  Sink,
  SourceWork,
} from './contract.ts';
import { elasticsearch } from './elasticsearch/connector.ts';
import { file } from './file/connector.ts';
import { http } from './http/connector.ts';
import { kafka, kafkaSource as source } from './kafka/connector.ts';
import { ownAt } from './own.ts';
import { postgres } from './postgres/connector.ts';
import { shapedSink, shapingOf } from './shaping.ts';

export { SHAPE_PARTS } from './contract.ts';
export { inputSchemaOf } from './options.ts';
export { findOwn } from './own.ts';

/** Every kind of destination; a new connector adds its line here. */
export const connectors = [kafka, elasticsearch, postgres, file, http] as const;

export { asyncApi } from './kafka/asyncapi.ts';

/** The kind of source that a worker reads; Kafka is the only one. */
export { source };

/** A configured connector: its options, as parsed by its schema, and where the connector comes from. */
export interface Configured {
  readonly kind: string;
  /** The file of a user's connector, whose options are kept apart in `options`. */
  readonly module?: string | undefined;
  readonly options?: unknown;
}

/** Opens its sink, which writes in the configured shape. */
export async function openSink(configured: Configured, host: Host, signal: AbortSignal): Promise<Sink> {
  const [connector, options] = found(configured);
  const shaping = shapingOf(configured, connector.holds(options), host);
  if (shaping === undefined) return connector.open(options, host, signal);
  // Makes a missing function show at once.
  await shaping.texts([]);
  const sink = await connector.open(options, { ...host, shape: shaping.shape }, signal);
  return sink.holds === 'events' ? shapedSink(sink, shaping.texts) : sink;
}

export function holdsOf(configured: Configured): Holds {
  const [connector, options] = found(configured);
  return connector.holds(options);
}

export function placesOf(configured: Configured, shape?: ShapeSettings): readonly Place[] {
  const [connector, options] = found(configured);
  return connector.places(options, shape);
}

export const readsBack = (configured: Configured): boolean => found(configured)[0].readsBack;

/** Returns which parts of a shape a connector of its kind cannot support. */
export function shapeRefusalsOf(configured: Configured, shape: ShapeSettings): readonly ShapeProblem[] {
  const [connector, options] = found(configured);
  return connector.shapeProblems?.(options, shape) ?? [];
}

/** Returns the parts of a shape that are specific to its kind. */
export const shapesOf = (configured: Configured): readonly ShapePart[] | undefined => found(configured)[0].shapes;

/** Examines a destination; an error becomes the last finding. */
export function examine(configured: Configured, host: Host, signal: AbortSignal): AsyncGenerator<Finding> {
  const [connector, options] = found(configured);
  const shape = shapingOf(configured, connector.holds(options), host)?.shape;
  return untilFault('destination', () => connector.examine(options, { ...host, ...(shape && { shape }) }, signal));
}

/** Tries the function of `shape.transform` on these events; yields nothing if there is none. */
export async function* tryTransform(
  configured: Configured,
  host: Host,
  events: readonly CanonicalEvent[],
): AsyncGenerator<Finding> {
  const shaping = shapingOf(configured, holdsOf(configured), host);
  if (!shaping?.transform) return;
  yield* untilFault('transform', async function* () {
    const made = await shaping.texts(events.map((event) => ({ text: JSON.stringify(event) })));
    for (const [index, one] of made.entries()) {
      if (!('fault' in one)) continue;
      const says = `${events[index]?.type}: ${one.fault.message}`;
      yield { step: 'transform', state: 'wrong', says, fault: { ...one.fault, message: says } };
    }
    if (made.every((one) => 'text' in one)) {
      yield { step: 'transform', state: 'well', says: 'makes something of an event of each type' };
    }
  });
}

/** Examines a worker's source in the same way. */
export const examineSource: SourceWork<SourceOptions>['examine'] = (options, connectors, signal) =>
  untilFault('source', async function* () {
    yield* (await source.load()).examine(options, connectors, signal);
  });
type SourceOptions = z.output<typeof source.options>;

async function* untilFault(step: string, findings: () => AsyncIterable<Finding>): AsyncGenerator<Finding> {
  try {
    yield* findings();
  } catch (thrown) {
    const fault = faultOf(thrown, 'destination-unreachable');
    yield { step, state: 'wrong', says: fault.message, fault };
  }
}

function found(configured: Configured): [connector: ConnectorContract<unknown>, options: unknown] {
  const { kind, module } = configured;
  if (module !== undefined) return [ownAt(module), configured.options];
  const connector = connectors.find((one) => one.kind === kind) as Connector<unknown> | undefined;
  if (connector === undefined) throw new TypeError(`no connector is called ${kind}`);
  return [connector, configured];
}
