/** What kafkajs throws, as faults that name the setting. Knows the names of its errors and nothing else of it. */
import { type Fault, type FaultCode, messageOf, Unreachable } from '../../src/model/fault.ts';
import { type Endpoint, isTlsError, type SecureOptions, speaksTls, tlsFault } from '../tls.ts';
import { Unreadable } from './codecs.ts';
import { inOrder, setAside } from './seeds.ts';

/** What a fault must know to name the settings concerned. */
export interface Place {
  readonly brokers: readonly string[];
  readonly topic: string;
  /** How the YAML names this connector: `connectors.group-events`. */
  readonly path: string;
  readonly secure?: SecureOptions | undefined;
  readonly sasl?: { readonly mechanism: string } | undefined;
}

/** The broker refused these records for good; with several of them, it does not say which one. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly fault: Fault;
  constructor(fault: Fault) {
    super(fault.message);
    this.fault = fault;
  }
}

/**
 * kafkajs wraps: KafkaJSNumberOfRetriesExceeded says `retriable: false` while its cause may not be, and
 * KafkaJSAggregateError holds an error a topic. The cause is judged.
 */
function innermost(thrown: unknown): Error & { type?: string } {
  let error = thrown instanceof Error ? thrown : new Error(String(thrown));
  for (;;) {
    const inner: unknown = 'errors' in error && Array.isArray(error.errors) ? error.errors[0] : error.cause;
    if (!(inner instanceof Error) || !error.name.startsWith('KafkaJS')) return error;
    error = inner;
  }
}

export function protocolType(thrown: unknown): string | undefined {
  const { type } = innermost(thrown);
  return typeof type === 'string' ? type : undefined;
}

/** Error types by which a broker refuses records, not the producer. */
const REFUSALS: Readonly<Record<string, FaultCode>> = {
  MESSAGE_TOO_LARGE: 'event-too-large',
  RECORD_LIST_TOO_LARGE: 'event-too-large',
  INVALID_RECORD: 'event-refused',
};

export function judge(thrown: unknown, place: Place): Unreachable | Refused {
  const { path, topic, brokers } = place;
  if (thrown instanceof Unreachable || thrown instanceof Refused) return thrown;
  const error = innermost(thrown);
  const type = protocolType(thrown);
  const reason = type === undefined ? messageOf(error) : `${type}: ${error.message}`;
  const refusal = type === undefined ? undefined : REFUSALS[type];
  if (refusal !== undefined) {
    const suggestion =
      refusal === 'event-too-large'
        ? `raise max.message.bytes of ${topic}`
        : `see the settings of ${topic}: it takes no such record`;
    return new Refused({
      code: refusal,
      message: `Kafka refused the record: ${reason}`,
      path: `${path}.topic`,
      suggestion,
    });
  }

  const fault = (code: FaultCode, setting: string, suggestion: string): Unreachable =>
    new Unreachable({ code, message: `Kafka: ${reason}`, path: `${path}.${setting}`, suggestion }, error);
  if (error instanceof Unreadable) return fault('destination-misconfigured', 'topic', error.suggestion);
  if (place.secure !== undefined && isTlsError(error))
    return new Unreachable(tlsFault(error, path, brokerOf(error, place)));
  if (error.name === 'KafkaJSSASLAuthenticationError' || type === 'SASL_AUTHENTICATION_FAILED')
    return noEntry(place, error);
  switch (type) {
    case 'UNKNOWN_TOPIC_OR_PARTITION':
      return fault('destination-missing', 'topic', `the topic ${topic} is gone: create it, or set createTopic`);
    case 'TOPIC_AUTHORIZATION_FAILED':
    case 'CLUSTER_AUTHORIZATION_FAILED':
      return fault('destination-credentials', 'topic', `allow this client to describe, create and write ${topic}`);
    case 'INVALID_TOPIC_EXCEPTION':
    case 'INVALID_PARTITIONS':
    case 'INVALID_REPLICATION_FACTOR':
    case 'INVALID_CONFIG':
    case 'POLICY_VIOLATION':
      return fault('destination-misconfigured', 'createTopic', 'the cluster refuses these settings for the topic');
    case 'INVALID_TIMESTAMP':
      // Records bear the time of sending, so this is never a fault of the event.
      return fault(
        'destination-misconfigured',
        'topic',
        `set the clock of this machine (NTP), or look at message.timestamp.before.max.ms and …after.max.ms of ${topic}`,
      );
    case 'NOT_ENOUGH_REPLICAS':
    case 'NOT_ENOUGH_REPLICAS_AFTER_APPEND':
      return fault('destination-overloaded', 'topic', 'fewer replicas are in sync than min.insync.replicas asks for');
    default: {
      const broker = brokerIn(error) ?? (inOrder(brokers)[0] as string);
      setAside(brokers, broker);
      const suggestion = brokers.includes(broker)
        ? `is Kafka running and reachable at ${broker}?`
        : `${brokers.join(', ')} sends its clients to ${broker} (advertised.listeners): can that be reached from here?`;
      return fault('destination-unreachable', 'brokers', suggestion);
    }
  }
}

function noEntry({ path, sasl }: Place, error: Error & { type?: string }): Unreachable {
  // The broker says nothing of what is wrong, on purpose; of a mechanism it does not have, kafkajs does.
  const unsupported = error.type === undefined && error.message.includes('not supported');
  return new Unreachable(
    {
      code: 'destination-credentials',
      message: `Kafka does not let this client in: ${error.message}`,
      path: `${path}.sasl${unsupported ? '.mechanism' : ''}`,
      suggestion: unsupported
        ? 'choose a mechanism that the listener has enabled'
        : `correct sasl.username and sasl.password, or is the user kept under another mechanism than ${sasl?.mechanism}?`,
    },
    error,
  );
}

export function endpointOf(broker: string): Endpoint {
  const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(broker) ?? [];
  return { host, port: Number(port) };
}

/** Returns the broker that kafkajs names. */
function brokerIn(error: Error & { broker?: unknown }): string | undefined {
  return typeof error.broker === 'string' ? error.broker : undefined;
}

function brokerOf(error: Error, { brokers }: Place): Endpoint {
  return endpointOf(brokerIn(error) ?? brokers[0] ?? '');
}

/**
 * A broker that gets something else than it expects says nothing and closes the connection, or waits: then the broker is
 * asked once more, by a TLS handshake only, so that the fault can name the setting.
 */
export async function explain(unreachable: Unreachable, thrown: unknown, place: Place): Promise<Unreachable> {
  const error = innermost(thrown);
  const refusedAtOnce = /^(ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN)$/.test(
    String((error as { code?: unknown }).code),
  );
  if (unreachable.fault.code !== 'destination-unreachable' || refusedAtOnce) return unreachable;
  const endpoint = brokerOf(error, place);
  const said = (setting: string, suggestion: string): Unreachable =>
    new Unreachable({ ...unreachable.fault, path: `${place.path}.${setting}`, suggestion }, error);
  const tls = await speaksTls(endpoint, place.secure ?? {});
  if (tls === 'no-connection') return unreachable;
  if (tls === 'yes' && place.secure === undefined) {
    return said('tls', `${endpoint.host}:${endpoint.port} speaks TLS: set tls, or use its other port`);
  }
  if (tls === 'no' && place.secure !== undefined) {
    return said('tls', `${endpoint.host}:${endpoint.port} does not speak TLS: leave tls out, or use its other port`);
  }
  if (place.sasl === undefined) return said('sasl', 'the broker ends the connection: does it ask for a user (sasl)?');
  return said('sasl', 'the broker ends the connection: does it expect a user on this port at all?');
}
