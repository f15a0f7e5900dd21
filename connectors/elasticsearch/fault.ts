import { type Fault, messageOf } from '../../src/model/fault.ts';
import type { ElasticsearchOptions } from './options.ts';

/** What Elasticsearch says of a failure, in an answer as a whole and in each item of one. */
export interface Cause {
  readonly type?: string;
  readonly reason?: string | null;
  readonly caused_by?: Cause;
}

/** What a fault must know to name the settings concerned. */
export interface Place {
  /** The name the user gave this connector in the YAML. */
  readonly name: string;
  readonly options: ElasticsearchOptions;
}

const MAX_REASON = 1_000;

/** Elasticsearch's own words, with those of the causes beneath. */
export function reasonOf(cause: Cause): string {
  const own = [cause.type, cause.reason]
    .filter((part) => part !== undefined && part !== null && part !== '')
    .join(': ');
  const beneath = cause.caused_by === undefined ? '' : reasonOf(cause.caused_by);
  const whole = beneath === '' || own.includes(beneath) ? own : `${own}; caused by ${beneath}`;
  return whole.length <= MAX_REASON ? whole : `${whole.slice(0, MAX_REASON).toWellFormed()}…`;
}

/** The error of an answer, whatever shape a proxy may have given it. */
export function causeIn(body: unknown): Cause {
  if (typeof body !== 'object' || body === null || !('error' in body)) {
    return typeof body === 'string' && body !== '' ? { reason: body.slice(0, 200) } : {};
  }
  const { error } = body;
  return typeof error === 'object' && error !== null ? error : { reason: String(error) };
}

/** The node URLs without the credentials they may hold. */
function nodesOf({ options }: Place): string {
  return options.nodes.map((node) => new URL(node).origin).join(', ');
}

type Setting = 'nodes' | 'auth' | 'index' | 'dataStream' | 'createIndex' | 'createIndex.file';

export function setting(place: Place, key: Setting): string {
  return `connectors.${place.name}.${key}`;
}

/** A failure that concerns the destination as a whole: status first, error type second. */
export function destinationFault(status: number, cause: Cause, place: Place): Fault {
  const { index, dataStream } = place.options;
  const said = reasonOf(cause) || `HTTP status ${status}`;
  if (cause.type === 'cluster_block_exception') {
    return {
      code: status === 403 ? 'destination-misconfigured' : 'destination-overloaded',
      message: `Elasticsearch blocks the index ${index}: ${said}`,
      path: setting(place, 'index'),
      suggestion: 'free disk space on its nodes or lift the block (the index settings index.blocks.*)',
    };
  }
  switch (status) {
    case 401:
      return {
        code: 'destination-credentials',
        message: `Elasticsearch does not know who asks: ${said}`,
        path: setting(place, 'auth'),
        suggestion:
          place.options.auth === undefined
            ? 'it asks for a user: set auth (username and password, or apiKey), or correct the one in nodes'
            : 'apiKey' in place.options.auth
              ? 'correct auth.apiKey; an expired or revoked key is answered so, too'
              : 'correct auth.username and auth.password',
      };
    case 403:
      return {
        code: 'destination-credentials',
        message: `Elasticsearch does not permit it: ${said}`,
        path: setting(place, 'index'),
        suggestion: `grant this user read, write, create_index and view_index_metadata on ${index}${
          dataStream ? ', and manage_index_templates where it is to create the data stream' : ''
        }`,
      };
    case 404:
      return cause.type === 'index_not_found_exception' ? missingFault(place) : strangerFault(said, place);
    case 429:
    case 502:
    case 503:
    case 504:
      return {
        code: 'destination-overloaded',
        message: `Elasticsearch takes no more for now: ${said}`,
        path: setting(place, 'nodes'),
        suggestion: 'look at the cluster’s health, load and disk space',
      };
    default:
      return {
        code: status >= 500 ? 'destination-unreachable' : 'destination-misconfigured',
        message: `Elasticsearch answers ${status}: ${said}`,
        path: setting(place, status >= 500 ? 'nodes' : 'index'),
        suggestion: status >= 500 ? 'look at the cluster’s log' : 'look at the index and its settings',
      };
  }
}

export function missingFault(place: Place): Fault {
  return {
    code: 'destination-missing',
    message: `Elasticsearch has no ${sort(place)} ${place.options.index}`,
    path: setting(place, 'index'),
    suggestion: 'create it, correct its name, or let createIndex create it',
  };
}

/** Elasticsearch was asked to create it and refuses. */
export function notCreatedFault(place: Place, cause: Cause): Fault {
  const { index, createIndex } = place.options;
  const fromFile = createIndex !== false && createIndex.file !== undefined;
  return {
    code: 'destination-misconfigured',
    message: `Elasticsearch does not create the ${sort(place)} ${index}: ${reasonOf(cause)}`,
    path: setting(place, fromFile ? 'createIndex.file' : 'createIndex'),
    suggestion: `correct what it complains of, or create the ${sort(place)} yourself`,
  };
}

function sort({ options }: Place): string {
  return options.dataStream ? 'data stream' : 'index';
}

export function misconfiguredFault(place: Place, message: string, suggestion: string): Fault {
  return { code: 'destination-misconfigured', message, path: setting(place, 'index'), suggestion };
}

export function unreachableFault(thrown: unknown, place: Place): Fault {
  return {
    code: 'destination-unreachable',
    message: `Elasticsearch cannot be reached at ${nodesOf(place)}: ${messageOf(thrown)}`,
    path: setting(place, 'nodes'),
    suggestion: 'see that it runs and that the address is right',
  };
}

export function timeoutFault(place: Place): Fault {
  return {
    code: 'destination-unreachable',
    message: `Elasticsearch at ${nodesOf(place)} did not answer within ${place.options.requestTimeoutMs} ms`,
    path: setting(place, 'nodes'),
    suggestion: 'look at the cluster’s health and the network; requestTimeoutMs sets how long to wait',
  };
}

/** Something answers, but not Elasticsearch. */
export function strangerFault(said: string, place: Place): Fault {
  return {
    code: 'destination-misconfigured',
    message: `What answers at ${nodesOf(place)} is not Elasticsearch: ${said}`,
    path: setting(place, 'nodes'),
    suggestion: 'correct the address, its port and its path',
  };
}
