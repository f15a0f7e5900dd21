/**
 * The oracle of the Elasticsearch tests: the server itself, asked without the client that the connector uses; and the
 * mapping as the README describes it.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { expect, inject } from 'vitest';
import type { Host } from '../../connectors/contract.ts';
import { elasticsearch } from '../../connectors/elasticsearch/connector.ts';
import { elasticsearchOptions } from '../../connectors/elasticsearch/options.ts';
import { type CanonicalEvent, sourceOf } from '../../src/model/event.ts';
import type { Group } from '../../src/model/group.ts';
import { SDK_APP_ID } from '../support/callbacks.ts';
import {
  type Copies,
  type Driven,
  type DrivenSettings,
  type Found,
  foundInGroup,
  openDriven,
  type Place,
  testHost,
} from './suite.ts';

export const url = inject('elasticsearchUrl');
/** Why the tests that need the server cannot run, or ''. */
export const skip = url === '' ? 'no Elasticsearch, see the notice at the start' : '';
/** For the titles. */
export const skipped = skip && ` (skipped: ${skip})`;
export type Content = 'groups' | 'events';

export async function request(
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; json: unknown }> {
  const response = await fetch(url + path, {
    method,
    headers: { 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, json: text === '' ? {} : JSON.parse(text) };
}

/** The answer of a request that has to succeed. */
export async function must<Answer = unknown>(method: string, path: string, body?: unknown): Promise<Answer> {
  const { status, json } = await request(method, path, body);
  expect(status, JSON.stringify(json)).toBeLessThan(300);
  return json as Answer;
}

interface Hit {
  readonly _index: string;
  readonly _id: string;
  readonly _seq_no: number;
  readonly _source: unknown;
}

/** The documents of an index, in the order in which they were written. */
export async function hits(index: string): Promise<Hit[]> {
  await must('POST', `/${index}/_refresh`);
  const query = { size: 10_000, seq_no_primary_term: true, sort: ['_doc'] };
  const found = await must<{ hits: { hits: Hit[] } }>('POST', `/${index}/_search`, query);
  return found.hits.hits.sort((a, b) => a._seq_no - b._seq_no);
}

export async function documents(index: string): Promise<Map<string, Group>> {
  return new Map((await hits(index)).map((hit) => [hit._id, hit._source as Group]));
}

export async function mappingOf(index: string): Promise<unknown> {
  const found = await must<Record<string, { mappings: unknown }>>('GET', `/${index}/_mapping`);
  return found[index]?.mappings;
}

export async function settingsOf(index: string): Promise<unknown> {
  const found = await must<Record<string, { settings: { index: unknown } }>>('GET', `/${index}/_settings`);
  return found[index]?.settings.index;
}

const made: string[] = [];

/** An index name that is deleted with its fellows by `deleteIndices`. */
export function newIndex(name = `test-${randomUUID()}`): string {
  made.push(name);
  return name;
}

export async function deleteIndices(): Promise<void> {
  if (url !== '') for (const index of made) await request('DELETE', `/${index}`);
}

export interface IndexPlace extends Place {
  readonly index: string;
  readonly options: Readonly<Record<string, unknown>>;
}

export function place(content: Content, more: object = {}): IndexPlace {
  const index = newIndex();
  return {
    index,
    options: { nodes: [url], index, content, createIndex: { replicas: 0 }, ...more },
    readBack: async () => (await hits(index)).flatMap(content === 'groups' ? inGroup : inHistory),
    ...(content === 'groups' && { copies: copiesIn(index) }),
    dispose: async () => void (await request('DELETE', `/${index}`)),
  };
}

function inHistory(hit: Hit): Found[] {
  const event = hit._source as CanonicalEvent;
  return [{ id: event.id, groupId: event.subject, changed: event.data.changed, receipt: `${hit._index}/${hit._id}` }];
}

function inGroup({ _source, _index, _id, _seq_no }: Hit): Found[] {
  return foundInGroup(_source as Group, `${_index}/${_id}@${_seq_no}`);
}

function copiesIn(index: string): Copies {
  const path = (groupId: string) => `/${index}/_doc/${encodeURIComponent(groupId)}`;
  return {
    state: async (groupId) => (await documents(index)).get(groupId),
    where: (groupId) => `${index}/_doc/${groupId}`,
    async overwrite(groupId, state) {
      await (state === undefined ? must('DELETE', path(groupId)) : must('PUT', path(groupId), state));
    },
  };
}

export const open = (
  options: Record<string, unknown>,
  settings: DrivenSettings = {},
  host: Host = testHost(),
): Promise<Driven> => openDriven(elasticsearch, elasticsearchOptions.parse(options), host, settings);

/** A node before the real one, in which `before` may act on a request that is about to be passed on. */
export async function frontNode(before: (path: string) => Promise<void>) {
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    await before(incoming.url ?? '');
    const answer = await fetch(url + incoming.url, {
      method: incoming.method ?? 'GET',
      headers: {
        accept: incoming.headers.accept ?? '',
        'content-type': incoming.headers['content-type'] ?? 'application/json',
      },
      ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
    });
    const headers = { 'x-elastic-product': 'Elasticsearch', 'content-type': 'application/json' };
    outgoing.writeHead(answer.status, headers).end(Buffer.from(await answer.arrayBuffer()));
  });
  return listening(server);
}

/** The server on a free port, its URL, and what closes it with all its connections. */
export async function listening(server: Server): Promise<{ readonly url: string; close(): Promise<void> }> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
    close: () => new Promise((resolve) => server.close(() => resolve()).closeAllConnections()),
  };
}

export const keyword = { type: 'keyword', ignore_above: 8191 };
export const text = { type: 'text', fields: { keyword } };
const date = { type: 'date' };
const millis = { type: 'date', format: 'epoch_millis' };
const flattened = { type: 'flattened', ignore_above: 4096 };
/** Whether the server knows the type `flattened`, so that custom fields can be searched. */
export const searchable = skip !== '' || (await knows(flattened));
async function knows(type: object): Promise<boolean> {
  return (await request('PUT', `/${newIndex()}`, { mappings: { properties: { field: type } } })).status === 200;
}
const profile = {
  name: text,
  introduction: text,
  notification: text,
  faceUrl: keyword,
  customFields: searchable ? flattened : { type: 'object', enabled: false },
};
/** The README's table, as the server says it. */
export const MAPPINGS = {
  groups: {
    dynamic: 'false',
    _meta: { groupSyncBridge: { mapping: 3, content: 'groups', source: sourceOf(SDK_APP_ID) } },
    properties: {
      ...profile,
      groupId: keyword,
      source: keyword,
      groupType: keyword,
      owner: keyword,
      lastOperator: keyword,
      updatedAt: date,
      destroyed: { type: 'boolean' },
      versions: { type: 'object', enabled: false },
    },
  },
  events: {
    dynamic: 'false',
    _meta: { groupSyncBridge: { mapping: 3, content: 'events' } },
    properties: {
      id: keyword,
      source: keyword,
      type: keyword,
      subject: keyword,
      time: date,
      traceparent: keyword,
      data: {
        properties: {
          groupId: keyword,
          groupType: keyword,
          operator: keyword,
          changed: { properties: profile },
          occurredAt: millis,
          occurredAtFrom: keyword,
          receivedAt: millis,
          origin: { properties: { platform: keyword, clientIp: keyword, requestId: keyword } },
          extra: { type: 'object', enabled: false },
          omitted: keyword,
        },
      },
    },
  },
};
