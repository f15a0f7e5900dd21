import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { messageOf } from '../../src/model/fault.ts';
import { isObject } from '../../src/model/json.ts';
import type { ElasticsearchOptions } from './connector.ts';
import { misconfigured, type Place } from './fault.ts';

/** Raised whenever the built-in mapping changes. */
const MAPPING_VERSION = 3;

/** 8191 characters are at most 32764 bytes of UTF-8; Lucene refuses a term of more than 32766 with its whole document. */
const keyword = { type: 'keyword', ignore_above: 8191 };
const text = { type: 'text', fields: { keyword } };
/** Here a term is key, NUL and value: 4096 characters leave 20 kB for the key. */
const flattened = { type: 'flattened', ignore_above: 4096 };
const unindexed = { type: 'object', enabled: false };

const profile = { name: text, introduction: text, notification: text, faceUrl: keyword, customFields: flattened };

const groups = {
  groupId: keyword,
  source: keyword,
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
      omitted: keyword,
    },
  },
};

function properties({ content, dataStream }: ElasticsearchOptions): Record<string, unknown> {
  if (content === 'groups') return groups;
  return dataStream ? { '@timestamp': { type: 'date' }, ...events } : events;
}

/** Fields that came with a later version of the mapping: an index does without. */
const LATER = new Set(['traceparent']);

/** Returns the fields that a search may count on, at the top of a document. */
export function expectedFields(options: ElasticsearchOptions): string[] {
  const later = options.content === 'groups' ? new Set(['source']) : LATER;
  return Object.keys(properties(options)).filter((field) => !later.has(field));
}

/** It is `dynamic: false` because `extra` and foreign fields hold whatever others put there: guessing types would refuse documents. */
function builtInMapping(options: ElasticsearchOptions, source: string): Record<string, unknown> {
  const { content } = options;
  return {
    dynamic: false,
    _meta: { groupSyncBridge: { mapping: MAPPING_VERSION, content, ...(content === 'groups' && { source }) } },
    properties: properties(options),
  };
}

function withoutFlattened(mappings: Record<string, unknown>): Record<string, unknown> {
  return JSON.parse(JSON.stringify(mappings, (_key, value) => (value === flattened ? unindexed : value)));
}

const record = z.record(z.string(), z.unknown()).optional();
const indexFile = z.strictObject({ settings: record, mappings: record });

/** Returns what a missing index is created with; undefined when it must exist. Reads createIndex.file. */
export async function readNewIndex(place: Place, source: string) {
  const { createIndex } = place.options;
  if (createIndex === false) return undefined;
  const { shards, replicas, file } = createIndex;
  const own = file === undefined ? {} : await readIndexFile(file, place);
  const settings: Record<string, unknown> = { ...own.settings };
  if (!mentions(settings, 'number_of_shards')) settings['index.number_of_shards'] = shards;
  if (!mentions(settings, 'number_of_replicas')) settings['index.number_of_replicas'] = replicas;
  if (own.mappings !== undefined) return { settings, mappings: own.mappings };
  const mappings = builtInMapping(place.options, source);
  return { settings, mappings, unindexed: withoutFlattened(mappings) };
}

/** Elasticsearch refuses a setting that is given twice, however it is spelt. */
function mentions(settings: Record<string, unknown>, key: string): boolean {
  const { index } = settings;
  return key in settings || `index.${key}` in settings || (isObject(index) && key in index);
}

async function readIndexFile(file: string, place: Place): Promise<z.output<typeof indexFile>> {
  try {
    return indexFile.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (thrown) {
    const why = thrown instanceof z.ZodError ? z.prettifyError(thrown) : messageOf(thrown);
    throw misconfigured(
      place,
      'createIndex.file',
      `The index file ${file} cannot be used: ${why}`,
      'a JSON file {"settings": …, "mappings": …} is expected; its path is relative to the working directory',
    );
  }
}
