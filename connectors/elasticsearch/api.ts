/** The calls that this connector makes, valid for Elasticsearch since 7.10 and every OpenSearch. */
import { isObject } from '../../src/model/json.ts';
import type { Cause } from './fault.ts';

export interface Call<Answer> {
  /** Its name in the vendors' clients, and in traces. */
  readonly name: string;
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT';
  readonly path: string;
  readonly index?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: Readonly<Record<string, unknown>>;
  /** Lines of JSON, in the place of `body`. */
  readonly lines?: readonly string[];
  /** Statuses that count as answers, in addition to those of success. */
  readonly ignore?: readonly number[];
  /** Recognizes the body of a success, so that nothing else is taken for the server. */
  readonly fits: (body: unknown) => body is Answer;
}

export interface IndexState {
  readonly aliases?: Readonly<Record<string, { readonly is_write_index?: boolean }>>;
  readonly mappings?: {
    readonly dynamic?: unknown;
    readonly dynamic_templates?: unknown;
    readonly enabled?: unknown;
    readonly _source?: {
      readonly enabled?: boolean;
      readonly mode?: unknown;
      readonly includes?: readonly string[];
      readonly excludes?: readonly string[];
    };
    readonly properties?: Readonly<Record<string, unknown>>;
    readonly _meta?: Readonly<Record<string, unknown>>;
  };
  readonly settings?: { readonly index?: Readonly<Record<string, string>> };
  readonly data_stream?: string;
}

interface Acknowledged {
  readonly acknowledged: boolean;
}

interface ReadDocument {
  readonly _index: string;
  readonly _id: string;
  readonly found?: boolean;
  readonly _source?: Readonly<Record<string, unknown>>;
  readonly _seq_no?: number;
  readonly _primary_term?: number;
  readonly error?: Cause;
}

export interface WrittenItem {
  readonly _index: string;
  readonly _id?: string | null;
  readonly status: number;
  readonly _seq_no?: number;
  readonly result?: string;
  readonly failure_store?: string;
  readonly error?: Cause;
}

interface Health {
  readonly cluster_name?: string;
  readonly number_of_nodes?: number;
  readonly status?: string;
}

type Fits<Answer> = Call<Answer>['fits'];

const anything = (_body: unknown): _body is unknown => true;
const listsAt =
  <Answer>(key: keyof Answer & string): Fits<Answer> =>
  (body): body is Answer =>
    isObject(body) && Array.isArray(body[key]) && body[key].every(isObject);
const acknowledged: Fits<Acknowledged> = (body): body is Acknowledged => isObject(body) && 'acknowledged' in body;
const statesOfIndices: Fits<Record<string, IndexState>> = (body): body is Record<string, IndexState> =>
  isObject(body) && Object.keys(body).length > 0 && Object.values(body).every(isObject);

/** A call about an index, or something with a name like one, which replaces `{index}` in the path. */
function about<Answer>(
  index: string,
  name: string,
  method: Call<Answer>['method'],
  path: string,
  how: Pick<Call<Answer>, 'fits'> & Partial<Call<Answer>>,
): Call<Answer> {
  return { name, method, index, path: path.replace('{index}', () => encodeURIComponent(index)), ...how };
}

/** Any success fits: a proxy may have its own page there. */
export const root = (): Call<unknown> => ({ name: 'info', method: 'GET', path: '/', ignore: REFUSALS, fits: anything });
const REFUSALS = [401, 403, 404, 405];

/** Reveals the version where `/` is not served. */
export const localNode = (): Call<{ readonly nodes?: Readonly<Record<string, { readonly version?: string }>> }> => ({
  name: 'nodes.info',
  method: 'GET',
  path: '/_nodes/_local',
  query: { filter_path: 'nodes.*.version' },
  ignore: REFUSALS,
  fits: isObject,
});

export const ping = (): Call<unknown> => ({ name: 'ping', method: 'HEAD', path: '/', fits: anything });

export const health = (): Call<Health> => ({
  name: 'cluster.health',
  method: 'GET',
  path: '/_cluster/health',
  ignore: [403, 404],
  fits: isObject,
});

type Body = Readonly<Record<string, unknown>>;

export const getIndex = (index: string) =>
  about(index, 'indices.get', 'GET', '/{index}', { ignore: [404], fits: statesOfIndices });

export const indexExists = (index: string) => about(index, 'indices.exists', 'HEAD', '/{index}', { fits: anything });

export const createIndex = (index: string, body: Body) =>
  about(index, 'indices.create', 'PUT', '/{index}', { body, ignore: [400, 405], fits: acknowledged });

export const putMapping = (index: string, properties: Body) =>
  about(index, 'indices.put_mapping', 'PUT', '/{index}/_mapping', {
    body: { properties },
    ignore: [400],
    fits: acknowledged,
  });

export const createDataStream = (name: string) =>
  about(name, 'indices.create_data_stream', 'PUT', '/_data_stream/{index}', { ignore: [400, 405], fits: acknowledged });

export const getDataStream = (name: string) =>
  about(name, 'indices.get_data_stream', 'GET', '/_data_stream/{index}', { ignore: [400, 404, 405], fits: isObject });

/** An existing template may be somebody else's: it stays. */
export const putTemplate = (name: string, body: Body) =>
  about(name, 'indices.put_index_template', 'PUT', '/_index_template/{index}', {
    query: { create: 'true' },
    body,
    ignore: [400, 405],
    fits: acknowledged,
  });

interface Resolved {
  readonly data_streams: readonly { readonly name: string; readonly backing_indices: readonly string[] }[];
}
export const resolveIndex = (name: string) =>
  about(name, 'indices.resolve_index', 'GET', '/_resolve/index/{index}', { fits: listsAt<Resolved>('data_streams') });

interface Hits {
  readonly hits?: { readonly hits?: readonly Pick<ReadDocument, '_index' | '_id' | '_source'>[] };
}
export const search = (index: string, body: Body): Call<Hits> =>
  about<Hits>(index, 'search', 'POST', '/{index}/_search', { body, fits: isObject });

interface Documents {
  readonly docs: readonly ReadDocument[];
}
export const readMany = (index: string, ids: readonly string[]) =>
  about(index, 'mget', 'POST', '/{index}/_mget', { body: { ids }, fits: listsAt<Documents>('docs') });

/** Asks of each document whether it exists. */
export const hasMany = (index: string, ids: readonly string[]): Call<Documents> => ({
  ...readMany(index, ids),
  query: { _source: 'false' },
});

interface Written {
  readonly items: readonly Partial<Record<'index' | 'create' | 'delete', WrittenItem>>[];
}
export const writeMany = (index: string, lines: readonly string[], timeout: string) =>
  about(index, 'bulk', 'POST', '/{index}/_bulk', {
    query: { timeout },
    lines,
    ignore: [400, 413],
    fits: listsAt<Written>('items'),
  });
