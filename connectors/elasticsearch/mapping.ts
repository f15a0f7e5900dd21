import type { ElasticsearchOptions } from './options.ts';

/** Raised whenever the built-in mapping changes. */
const MAPPING_VERSION = 2;

/** 8191 characters are at most 32764 bytes of UTF-8; Lucene refuses a term of more than 32766 with its whole document. */
const keyword = { type: 'keyword', ignore_above: 8191 };
const text = { type: 'text', fields: { keyword } };
/** Here a term is key, NUL and value: 4096 characters leave 20 kB for the key. */
const flattened = { type: 'flattened', ignore_above: 4096 };
const unindexed = { type: 'object', enabled: false };

const profile = { name: text, introduction: text, notification: text, faceUrl: keyword, customFields: flattened };

const groups = {
  groupId: keyword,
  groupType: keyword,
  ...profile,
  owner: keyword,
  lastOperator: keyword,
  updatedAt: { type: 'date' },
  destroyed: { type: 'boolean' },
  versions: unindexed,
};

const moment = { type: 'date', format: 'epoch_millis' };

const events = {
  id: keyword,
  source: keyword,
  type: keyword,
  subject: keyword,
  time: { type: 'date' },
  traceparent: keyword,
  data: {
    properties: {
      groupId: keyword,
      groupType: keyword,
      operator: keyword,
      changed: { properties: profile },
      occurredAt: moment,
      occurredAtFrom: keyword,
      receivedAt: moment,
      origin: { properties: { platform: keyword, clientIp: keyword, requestId: keyword } },
      extra: unindexed,
    },
  },
};

type Kind = Pick<ElasticsearchOptions, 'content' | 'dataStream'>;

function properties({ content, dataStream }: Kind): Record<string, unknown> {
  if (content === 'groups') return groups;
  return dataStream ? { '@timestamp': { type: 'date' }, ...events } : events;
}

/** The fields a search may count on, at the top of a document; indexes of version 1 have no traceparent. */
export function expectedFields(kind: Kind): string[] {
  return Object.keys(properties(kind)).filter((field) => field !== 'traceparent');
}

/** `dynamic: false` because `extra` and foreign fields hold whatever others put there: guessing types would refuse documents. */
export function builtInMapping(kind: Kind): Record<string, unknown> {
  return {
    dynamic: false,
    _meta: { groupSyncBridge: { mapping: MAPPING_VERSION, content: kind.content } },
    properties: properties(kind),
  };
}
