import { type Fault, type FaultCode, Unreachable } from '../../src/model/fault.ts';
import { isObject } from '../../src/model/json.ts';
import type { ElasticsearchOptions } from './options.ts';

/** What Elasticsearch says about a failure, for a whole answer or for an item of it. */
export interface Cause {
  readonly type?: string;
  readonly reason?: string | null;
  readonly caused_by?: Cause;
}

/** What a fault needs to name the settings concerned. */
export interface Place {
  /** The name that the user gave this connector in the YAML. */
  readonly name: string;
  readonly options: ElasticsearchOptions;
  /** The product at the other side. */
  readonly product: string;
  /** For an index of versions, the index of the groups: another setting names it. */
  readonly versionsOf?: string;
}

const MAX_REASON = 1_000;

/** Returns Elasticsearch's own words, including those of nested causes. */
export function reasonOf({ type, reason, caused_by }: Cause): string {
  const own = [type, reason].filter(Boolean).join(': ');
  const beneath = caused_by === undefined ? '' : reasonOf(caused_by);
  const whole = own.includes(beneath) ? own : `${own}; caused by ${beneath}`;
  return whole.length <= MAX_REASON ? whole : `${whole.slice(0, MAX_REASON).toWellFormed()}…`;
}

/** Returns the error of an answer, whatever form a proxy may have given it. */
export function causeIn(body: unknown): Cause {
  if (!isObject(body)) return typeof body === 'string' ? { reason: body.slice(0, 200) } : {};
  const { error, message = body.Message } = body;
  // The form of AWS's gateways in front of the cluster.
  if (error === undefined && typeof message === 'string') return { reason: message.slice(0, MAX_REASON) };
  return isObject(error) ? error : error === undefined ? {} : { reason: String(error) };
}

/** Returns the node URLs without the credentials they may hold. */
export function nodesOf({ options }: Place): string {
  return options.nodes.map((node) => new URL(node).origin).join(', ');
}

type Setting = 'nodes' | 'auth' | 'index' | 'dataStream' | 'createIndex' | 'createIndex.file';

export function setting(place: Place, key: Setting): string {
  const isBeside = place.versionsOf !== undefined && key !== 'nodes' && key !== 'auth';
  return `connectors.${place.name}.${isBeside ? 'shape.versionsIndex' : key}`;
}

export function sortOf({ options }: Place): string {
  return options.dataStream ? 'data stream' : 'index';
}

export function misconfigured(place: Place, key: Setting, message: string, suggestion: string): Unreachable {
  return new Unreachable({ code: 'destination-misconfigured', message, path: setting(place, key), suggestion });
}

/** Returns the fault for a failure of the whole destination, by status and error type. */
export function destinationFault(status: number, cause: Cause, place: Place): Fault {
  const said = reasonOf(cause) || `HTTP status ${status}`;
  if (status === 404) {
    return cause.type === 'index_not_found_exception' ? missingFault(place) : strangerFault(said, place);
  }
  const [code, key, what, suggestion] = judge(status, cause, place.options);
  return { code, message: `${place.product} ${what}: ${said}`, path: setting(place, key), suggestion };
}

const WRONG_TIME = /signature (expired|not yet current)|date in credential scope/i;
const WRONG_KEY = /request signature we calculated|security token included|credential should be|authentication token/i;

/** Whether AWS's gateway refuses the caller, whatever the request. */
export function isRefusedByAws(status: number, { type, reason }: Cause, { auth }: ElasticsearchOptions): boolean {
  if (auth === undefined || !('aws' in auth) || status !== 403 || type !== undefined) return false;
  return WRONG_TIME.test(reason ?? '') || WRONG_KEY.test(reason ?? '');
}

function suggestionForAws({ reason }: Cause): string {
  return WRONG_TIME.test(reason ?? '')
    ? 'set the clock of this machine: AWS refuses a signature that is minutes old or from the future'
    : 'correct accessKeyId, secretAccessKey and sessionToken of auth.aws, or its region and service; temporary keys expire';
}

function judge(
  status: number,
  cause: Cause,
  options: ElasticsearchOptions,
): readonly [code: FaultCode, key: Setting, what: string, suggestion: string] {
  const { type } = cause;
  const { index, auth, dataStream } = options;
  if (type === 'cluster_block_exception') {
    const code = status === 403 ? 'destination-misconfigured' : 'destination-overloaded';
    const suggestion = 'free disk space on its nodes or lift the block (the index settings index.blocks.*)';
    return [code, 'index', `blocks the index ${index}`, suggestion];
  }
  if (isRefusedByAws(status, cause, options)) {
    return ['destination-credentials', 'auth', 'does not take the signature', suggestionForAws(cause)];
  }
  if (status === 401) {
    const suggestion =
      auth === undefined
        ? 'it asks for a user: set auth (username and password, or apiKey), or correct the one in nodes'
        : 'apiKey' in auth
          ? 'correct auth.apiKey; an expired or revoked key is answered so, too'
          : 'aws' in auth
            ? 'map this AWS role or user in the access control of the domain'
            : 'correct auth.username and auth.password';
    return ['destination-credentials', 'auth', 'does not know who asks', suggestion];
  }
  if (status === 403) {
    const more = dataStream ? ', and manage_index_templates where it is to create the data stream' : '';
    const policy =
      auth !== undefined && 'aws' in auth
        ? 'let this AWS role or user in by the policy (es:ESHttp* or aoss:APIAccessAll), and '
        : '';
    const suggestion = `${policy}grant this user read, write, create_index and view_index_metadata on ${index}${more}`;
    return ['destination-credentials', 'index', 'does not permit it', suggestion];
  }
  if (status === 408 || status === 429 || (status >= 502 && status <= 504)) {
    const suggestion = 'look at the cluster’s health, load and disk space';
    return ['destination-overloaded', 'nodes', 'takes no more for now', suggestion];
  }
  return status >= 500
    ? ['destination-unreachable', 'nodes', `answers ${status}`, 'look at the cluster’s log']
    : ['destination-misconfigured', 'index', `answers ${status}`, 'look at the index and its settings'];
}

export function missingFault(place: Place): Fault {
  return {
    code: 'destination-missing',
    message: `${place.product} has no ${sortOf(place)} ${place.options.index}`,
    path: setting(place, 'index'),
    suggestion: 'create it, correct its name, or let createIndex create it',
  };
}

/** Returns the fault for something that answers but is not Elasticsearch. */
export function strangerFault(said: string, place: Place): Fault {
  const message = `What answers at ${nodesOf(place)} is not Elasticsearch or OpenSearch: ${said}`;
  const suggestion = 'correct the address, its port and its path, or see what stands between';
  return misconfigured(place, 'nodes', message, suggestion).fault;
}
