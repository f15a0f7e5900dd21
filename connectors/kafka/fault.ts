/** Turns what kafkajs throws into faults that name the setting. */
import { createRequire } from 'node:module';
import type { ISocketFactory } from 'kafkajs';
import { type Fault, type FaultCode, messageOf, Unreachable } from '../../src/model/fault.ts';
import { type Endpoint, endsAtOnce, isTlsError, named, speaksHttp, speaksTls, tlsFault } from '../tls.ts';
import { Unreadable } from './codecs.ts';
import { type ClientOptions, endpointOf } from './options.ts';
import { fromSeed, inOrder, setAside } from './seeds.ts';

const load = createRequire(import.meta.url);
/** Returns the error for a protocol code. */
export const { createErrorFromCode: errorOf } = load('kafkajs/src/protocol/error') as {
  createErrorFromCode(code: number): Error;
};

/** The broker refused these records for good, without saying which of them. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly fault: Fault;
  constructor(fault: Fault) {
    super(fault.message);
    this.fault = fault;
  }
}

/**
 * kafkajs wraps errors: KafkaJSNumberOfRetriesExceeded says `retriable: false` even if its cause is not so, and
 * KafkaJSAggregateError holds one error per topic. The cause is what counts.
 */
export function innermost(thrown: unknown): Error & { type?: string } {
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

/** kafkajs's errors for a broker that does not answer. */
const SILENT = /^KafkaJS(Connection|RequestTimeout|Timeout|LockTimeout|BrokerNotFound)/;

/** Whether the error, of kafkajs or of the system, says that a broker does not answer. */
const isSilence = (error: Error & { code?: unknown }): boolean =>
  SILENT.test(error.name) || /^E[A-Z]+$/.test(String(error.code));

type Remedy = readonly [code: FaultCode, setting: string, suggestion: string];

/** Returns the remedy for an error; a code `event-…` refuses records, not the producer. */
function remedyOf(error: Error & { type?: string; retriable?: boolean }, place: ClientOptions): Remedy {
  const { topic, path, groupId, sasl, compression } = place;
  if (error instanceof Unreadable) return ['destination-misconfigured', 'topic', error.suggestion];
  if (error.name === 'KafkaJSServerDoesNotSupportApiKey') return TOO_OLD;
  if (error.type === undefined && isSilence(error)) return notReached(error, place);
  const group = path === 'source' ? 'groupId' : 'topic';
  switch (error.type) {
    case 'MESSAGE_TOO_LARGE':
    case 'RECORD_LIST_TOO_LARGE':
      return ['event-too-large', 'topic', `raise max.message.bytes of ${topic}`];
    case 'INVALID_RECORD':
      return ['event-refused', 'topic', `see the settings of ${topic}: it takes no such record`];
    case 'UNKNOWN_TOPIC_OR_PARTITION':
      return ['destination-missing', 'topic', `the topic ${topic} is gone: create it, or set createTopic`];
    case 'TOPIC_AUTHORIZATION_FAILED':
    case 'CLUSTER_AUTHORIZATION_FAILED': {
      const reads = path === 'source' ? 'describe and read' : 'describe, create, read and write';
      const rights = groupId === undefined ? 'describe, create and write' : reads;
      return ['destination-credentials', 'topic', `allow this client to ${rights} ${topic}`];
    }
    case 'GROUP_AUTHORIZATION_FAILED': {
      const suggestion = `allow this client to read with groups whose names begin with ${groupId}`;
      return ['destination-credentials', group, suggestion];
    }
    case 'INCONSISTENT_GROUP_PROTOCOL': {
      const suggestion = `another program uses this group: choose another name than ${groupId}`;
      return ['destination-misconfigured', group, suggestion];
    }
    case 'INVALID_SESSION_TIMEOUT': {
      const bounds = 'group.min.session.timeout.ms and group.max.session.timeout.ms of the brokers';
      return ['destination-misconfigured', 'sessionTimeoutMs', `choose one that lies between ${bounds}`];
    }
    case 'INVALID_TOPIC_EXCEPTION':
    case 'INVALID_PARTITIONS':
    case 'INVALID_REPLICATION_FACTOR':
    case 'INVALID_REPLICA_ASSIGNMENT':
    case 'INVALID_CONFIG':
    case 'INVALID_REQUEST':
    case 'POLICY_VIOLATION':
      return REFUSED_TOPIC;
    case 'ILLEGAL_SASL_STATE': {
      const how = sasl === undefined ? 'set sasl' : 'leave sasl out';
      const asks = sasl === undefined ? 'asks for a user' : 'asks for no user';
      return ['destination-misconfigured', 'sasl', `this port ${asks}: ${how}, or use its other port`];
    }
    case 'INVALID_TIMESTAMP': {
      // Records carry their time of sending, so the event is never to blame.
      const limits = `message.timestamp.before.max.ms and …after.max.ms of ${topic}`;
      return ['destination-misconfigured', 'topic', `set the clock of this machine (NTP), or look at ${limits}`];
    }
    case 'LEADER_NOT_AVAILABLE':
      return ['destination-overloaded', 'topic', 'bring the brokers back that have its partitions'];
    case 'NOT_ENOUGH_REPLICAS':
    case 'NOT_ENOUGH_REPLICAS_AFTER_APPEND':
      return ['destination-overloaded', 'topic', 'fewer replicas are in sync than min.insync.replicas asks for'];
  }
  // Older brokers have no name for these.
  if (error.type === 'UNKNOWN' && error.name === 'KafkaJSCreateTopicError') return REFUSED_TOPIC;
  if (error.type === 'UNKNOWN' && compression === 'zstd') return NO_ZSTD;
  // The broker did answer, so its own words are shown.
  return error.retriable === false
    ? ['destination-misconfigured', 'brokers', 'see what the log of the broker says of it']
    : [
        'destination-unreachable',
        'brokers',
        'the cluster is busy with itself, as in an election: see its log if this lasts',
      ];
}

const REFUSED_TOPIC: Remedy = [
  'destination-misconfigured',
  'createTopic',
  'the cluster refuses these settings for the topic',
];
const NO_ZSTD: Remedy = [
  'destination-misconfigured',
  'compression',
  'choose another codec if the brokers are older than 2.1, which know no zstd; else see their log',
];
const TOO_OLD: Remedy = ['destination-misconfigured', 'brokers', 'run Kafka 0.11 or newer, which keeps headers'];

/** A broker before 0.11 silently drops the headers of records. */
export function tooOld({ path }: ClientOptions): Unreachable {
  const [code, setting, suggestion] = TOO_OLD;
  const message = 'Kafka: the brokers speak a version before 0.11';
  return new Unreachable({ code, message, path: `${path}.${setting}`, suggestion });
}

const connect = (load('kafkajs/src/network/socketFactory') as () => ISocketFactory)();

/** Like kafkajs's own, which keeps only the message of an error. */
export const socketFactory: ISocketFactory = ({ host, ...how }) =>
  connect({ ...how, host: fromSeed(host).replace(/^\[(.*)\]$/, '$1') }).once('error', (error) => {
    error.message = messageOf(error);
  });

/** What brokers answered while kafkajs looked for a coordinator, which kafkajs drops. */
const heard = new WeakMap<ClientOptions, Error>();

export const hear = (place: ClientOptions, error: Error): void => void heard.set(place, error);

/** Has kafkajs keep an answer's content with its error, which it reads and drops. `versions` are those of the request. */
function onRefusal<Answer>(
  request: string,
  versions: readonly number[],
  keep: (thrown: Error, answer: Answer) => void,
) {
  for (const version of versions) {
    const path = `kafkajs/src/protocol/requests/${request}/v${version}/response`;
    const response = load(path) as { parse(answer: Answer): Promise<unknown> };
    const { parse } = response;
    response.parse = (answer) =>
      parse(answer).catch((thrown: Error) => {
        keep(thrown, answer);
        throw thrown;
      });
  }
}

/** A broker's answer for one partition; 0 is no error. */
interface PartitionAnswer {
  readonly partition: number;
  readonly errorCode: number;
  readonly baseOffset?: string;
}

interface CreateTopicsAnswer {
  readonly topicErrors: readonly { readonly topic: string; readonly errorMessage: string | null }[];
}

interface ProduceAnswer {
  readonly topics: readonly { readonly partitions: readonly PartitionAnswer[] }[];
}

/** Keeps the broker's own words on a topic that it does not create, and the answers for a request's other partitions. */
export function keepAnswers(): void {
  onRefusal<CreateTopicsAnswer>('createTopics', [1, 2, 3], (thrown, { topicErrors }) => {
    for (const error of (thrown as { errors?: (Error & { topic: string })[] }).errors ?? []) {
      const said = topicErrors.find(({ topic }) => topic === error.topic)?.errorMessage;
      if (said) error.message = said;
    }
  });
  onRefusal<ProduceAnswer>('produce', [0, 1, 2, 3, 4, 5, 6, 7], (thrown, { topics }) => {
    Object.assign(thrown, { answers: topics.flatMap(({ partitions }) => partitions) });
  });
}

/** Returns the partitions' answers if they are what went wrong; else rethrows. */
export function answersIn(thrown: unknown): readonly PartitionAnswer[] {
  const { answers } = innermost(thrown) as { readonly answers?: readonly PartitionAnswer[] };
  if (answers === undefined) throw thrown;
  return answers;
}

export function judge(thrown: unknown, place: ClientOptions): Unreachable | Refused {
  const { path } = place;
  const found = innermost(thrown);
  const error = found.name === 'KafkaJSGroupCoordinatorNotFound' ? innermost(heard.get(place) ?? found) : found;
  if (error instanceof Unreachable || error instanceof Refused) return error;
  const type = protocolType(error);
  if (place.secure !== undefined && isTlsError(error)) {
    return new Unreachable(tlsFault(error, path, brokerOf(error, place)));
  }
  if (error.name === 'KafkaJSSASLAuthenticationError' || type === 'SASL_AUTHENTICATION_FAILED') {
    return noEntry(place, error);
  }
  const [code, setting, suggestion] = remedyOf(error, place);
  const reason = type === undefined ? messageOf(error) : `${type}: ${error.message}`;
  const refused = code.startsWith('event-');
  const message = refused ? `Kafka refused the record: ${reason}` : `Kafka: ${reason}`;
  const fault = { code, message, path: `${path}.${setting}`, suggestion };
  return refused ? new Refused(fault) : new Unreachable(fault, error);
}

/** Moves the broker that caused the error to the end of the order. */
function notReached(error: Error, { brokers }: ClientOptions): Remedy {
  const broker = brokerIn(error) ?? (inOrder(brokers)[0] as string);
  setAside(brokers, broker);
  const suggestion = brokers.includes(broker)
    ? `is Kafka running and reachable at ${broker}?`
    : `${brokers.join(', ')} sends its clients to ${broker} (advertised.listeners): can that be reached from here?`;
  return ['destination-unreachable', 'brokers', suggestion];
}

function noEntry({ path, sasl }: ClientOptions, error: Error & { type?: string }): Unreachable {
  // The broker deliberately does not say what is wrong; kafkajs does for an unknown mechanism.
  const unsupported = error.type === undefined && error.message.includes('not supported');
  const wrong =
    sasl !== undefined && 'username' in sasl
      ? `correct sasl.username and sasl.password, or is the user kept under another mechanism than ${sasl.mechanism}?`
      : 'see that the brokers trust what issues its token, and what its log says';
  return new Unreachable(
    {
      code: 'destination-credentials',
      message: `Kafka does not let this client in: ${error.message}`,
      path: `${path}.sasl${unsupported ? '.mechanism' : ''}`,
      suggestion: unsupported ? 'choose a mechanism that the listener has enabled' : wrong,
    },
    error,
  );
}

function brokerIn(error: Error & { broker?: unknown }): string | undefined {
  return typeof error.broker === 'string' ? fromSeed(error.broker) : undefined;
}

function brokerOf(error: Error, { brokers }: ClientOptions): Endpoint {
  return endpointOf(brokerIn(error) ?? brokers[0] ?? '');
}

/**
 * A broker that receives something unexpected silently closes the connection, or waits: a TLS handshake then finds out
 * which setting the fault should name.
 */
export async function explain(unreachable: Unreachable, thrown: unknown, place: ClientOptions): Promise<Unreachable> {
  const error = innermost(thrown);
  const refusedAtOnce = /^(ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN)$/.test(
    String((error as { code?: unknown }).code),
  );
  if (!SILENT.test(error.name) || refusedAtOnce || unreachable.fault.code !== 'destination-unreachable')
    return unreachable;
  const endpoint = brokerOf(error, place);
  const said = (setting: string, suggestion: string): Unreachable =>
    new Unreachable({ ...unreachable.fault, path: `${place.path}.${setting}`, suggestion }, error);
  if (await endsAtOnce(endpoint)) {
    const suggestion = `${named(endpoint)} takes connections and ends them at once: is a proxy there, and no broker up?`;
    return said('brokers', suggestion);
  }
  const tls = await speaksTls(endpoint, place.secure ?? {});
  if (tls === 'no-connection') return unreachable;
  if (tls === 'yes' && place.secure === undefined) {
    return said('tls', `${named(endpoint)} speaks TLS: set tls, or use its other port`);
  }
  if (tls === 'no' && place.secure !== undefined) {
    return said('tls', `${named(endpoint)} does not speak TLS: leave tls out, or use its other port`);
  }
  if (tls === 'no' && (await speaksHttp(endpoint))) {
    const suggestion = `HTTP is spoken on this port of ${endpoint.host}: use the one of the broker, such as 9092`;
    const { message } = unreachable.fault;
    const path = `${place.path}.brokers`;
    return new Unreachable({ code: 'destination-misconfigured', message, path, suggestion }, error);
  }
  const asks = place.sasl === undefined ? 'ask for a user (sasl)' : 'expect a user on this port at all';
  return said('sasl', `does ${named(endpoint)} ${asks}, or is it no Kafka?`);
}
