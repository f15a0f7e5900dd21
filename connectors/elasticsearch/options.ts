import { z } from 'zod';
import { password } from '../../src/model/secret.ts';
import type { ShapeProblem, ShapeSettings } from '../../src/model/shape.ts';
import { awsKey, isWholeKey, WHOLE_KEY } from '../aws.ts';
import { tlsOptions } from '../tls.ts';

const nodeUrl = z.string().refine(isHttpUrl, {
  error: 'an http:// or https:// URL without query is expected, such as http://127.0.0.1:9200',
});

/** Whether paths can be appended to it. */
function isHttpUrl(text: string): boolean {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return false;
  const { search, hash } = new URL(text);
  return search + hash === '';
}

const NODES_EXPECTED =
  'http:// or https:// URLs without query are expected, as a list or comma-separated, such as ["http://127.0.0.1:9200"]';

const nodes = z.union(
  [
    z.array(nodeUrl).min(1, { error: NODES_EXPECTED }),
    z
      .string()
      .transform((text): string[] => text.split(',').flatMap((part) => part.trim() || []))
      .refine((urls) => urls.length > 0 && urls.every(isHttpUrl), { error: NODES_EXPECTED }),
  ],
  { error: NODES_EXPECTED },
);

/** Elasticsearch's own rules, checked here so that a mistake shows at the start instead of in every answer. */
function isIndexName(text: string): boolean {
  const spelt = /^(?![-_+]|\.{1,2}$)[^\s\\/*?"<>|,#:]+$/.test(text);
  return spelt && text === text.toLowerCase() && Buffer.byteLength(text) <= 255;
}

const INDEX_EXPECTED =
  'an index name is expected: lowercase, at most 255 bytes, no spaces and none of \\ / * ? " < > | , # :, not beginning with - _ or +';
const SAME_INDEX = 'it is the index of the groups: name another, or let `versions` say where they lie in its documents';

export function versionsIndexProblems(index: string, { versionsIndex }: ShapeSettings): ShapeProblem[] {
  if (versionsIndex === undefined || (isIndexName(versionsIndex) && versionsIndex !== index)) return [];
  return [{ path: ['versionsIndex'], message: versionsIndex === index ? SAME_INDEX : INDEX_EXPECTED }];
}

/** Metadata fields of any version, which documents must not contain. */
const METADATA = new Set(
  (
    '_id _index _source _routing _type _field_names _ignored _ignored_source _nested_path _seq_no _version _tier ' +
    '_doc_count _data_stream_timestamp'
  ).split(' '),
);

/** Fields for which every document would be refused. */
export function metadataProblems({ fields, versions, constants }: ShapeSettings): ShapeProblem[] {
  const places = [
    ...Object.entries(fields).map(([name, to]) => ({ path: ['fields', name], to })),
    ...(versions === undefined ? [] : [{ path: ['versions'], to: versions }]),
    ...Object.keys(constants).map((to) => ({ path: ['constants', to], to })),
  ];
  return places.flatMap(({ path, to }) => {
    const [top = ''] = to.split('.');
    return METADATA.has(top) ? [{ path, message: `${top} is Elasticsearch’s own, and no document may hold it` }] : [];
  });
}

const createIndex = z.union(
  [
    z.literal(false),
    z.strictObject({
      shards: z.int().min(1).max(1024).default(1).describe('Primary shards of the new index.'),
      replicas: z.int().min(0).max(100).default(1).describe('Replicas of each shard; 0 on a cluster of one node.'),
      file: z
        .string()
        .min(1)
        .optional()
        .describe(
          'A JSON file {"settings": …, "mappings": …}: what it holds replaces the built-in settings or mapping.',
        ),
    }),
  ],
  { error: 'false, or an object with shards, replicas and file, is expected' },
);

const aws = z
  .strictObject({
    ...awsKey,
    region: awsKey.region.describe('Where the domain of Amazon OpenSearch Service or the collection is.'),
    service: z
      .enum(['es', 'aoss'])
      .default('es')
      .describe('`es`: a domain. `aoss`: a collection of OpenSearch Serverless.'),
  })
  .refine(isWholeKey, WHOLE_KEY)
  .describe('Each request is signed for AWS (Signature Version 4).');

/** Whether what is sent there cannot be read on the way. */
function isPrivate(node: string): boolean {
  const { protocol, hostname } = new URL(node);
  return protocol === 'https:' || /^(127(\.\d+){3}|\[::1\]|localhost)$/.test(hostname);
}

export const elasticsearchOptions = z
  .strictObject({
    nodes: nodes.describe(
      'URLs of the cluster’s nodes, as a list or comma-separated. One that is down is left aside while another answers.',
    ),
    index: z
      .string()
      .refine(isIndexName, { error: INDEX_EXPECTED })
      .describe('The name of an index, or of an alias with a write index (for groups: of one index only).'),
    content: z
      .enum(['groups', 'events'])
      .default('groups')
      .describe('groups: one document a group, its merged state. events: history, one document an event.'),
    onDestroyed: z
      .enum(['mark', 'delete'])
      .default('mark')
      .describe('Of groups, what becomes of the document of a destroyed group: marked `destroyed: true`, or deleted.'),
    dataStream: z
      .boolean()
      .default(false)
      .describe('Of events only: `index` names a data stream, and each document gets an `@timestamp`.'),
    createIndex: createIndex
      .prefault({})
      .describe('How to create the index when it is missing; false = it must exist.'),
    auth: z
      .union(
        [
          z.strictObject({ username: z.string().min(1), password }),
          z.strictObject({
            apiKey: z
              .string()
              .regex(/^[\x21-\x7e]+$/, { error: 'an API key is expected, as `encoded` or as id:api_key' }),
          }),
          z.strictObject({ aws }),
        ],
        { error: 'username and password, or apiKey, or aws with its region, are expected' },
      )
      .optional()
      .describe(
        'Who asks: `username` and `password`, or `apiKey`, which is what Elasticsearch calls `encoded`, or `id:api_key`; or `aws`.',
      ),
    tls: tlsOptions.optional().describe('What the nodes with https:// are verified against, and what they are shown.'),
    requestTimeoutMs: z
      .int()
      .min(100)
      .max(600_000)
      .default(30_000)
      .describe('Milliseconds until a request without an answer counts as failed.'),
    batch: z
      .object({
        maxBytes: z
          .int()
          .min(1_000)
          .max(100_000_000)
          .default(8 * 1024 * 1024)
          .describe('At most this many bytes in one bulk request, unless one document is larger.'),
      })
      .prefault({})
      .describe('How much goes in one request.'),
  })
  .refine(({ content, dataStream }) => content === 'events' || !dataStream, {
    path: ['dataStream'],
    error: 'a data stream only ever grows, so that no group can be kept up to date in it: it needs content: events',
  })
  .refine(({ content, onDestroyed }) => content === 'groups' || onDestroyed === 'mark', {
    path: ['onDestroyed'],
    error: 'of events nothing is deleted: leave it out',
  })
  .refine(({ tls, nodes }) => tls === undefined || nodes.every((node) => /^https:/i.test(node)), {
    path: ['tls'],
    error: 'tls is for https:// nodes: write the nodes so, or leave tls out',
  })
  .refine(({ auth, nodes }) => auth === undefined || nodes.every((node) => new URL(node).username === ''), {
    path: ['auth'],
    error: 'nodes holds a user name already: leave one of the two out',
  })
  .refine(({ auth, nodes }) => auth === undefined || !('aws' in auth) || nodes.every(isPrivate), {
    path: ['nodes'],
    error: 'what is signed for AWS goes to https:// nodes (http:// on loopback only): write the nodes so',
  });

export type ElasticsearchOptions = z.output<typeof elasticsearchOptions>;
