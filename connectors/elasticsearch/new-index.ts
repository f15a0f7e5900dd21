import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { issuesOf } from '../../src/model/complaint.ts';
import { messageOf } from '../../src/model/fault.ts';
import { isObject } from '../../src/model/json.ts';
import type { Shape } from '../../src/model/shape.ts';
import type { IndexState } from './api.ts';
import { misconfigured, type Place } from './fault.ts';
import type { ElasticsearchOptions } from './options.ts';

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

type Mapped = Readonly<Record<string, unknown>>;

/** By how a moment is written: `date` also takes its text. */
const MOMENTS = { iso: { type: 'date' }, epochMillis: moment, epochSeconds: { type: 'date', format: 'epoch_second' } };

/** Returns the mapping of a field; undefined for one that nobody searches. */
function mappingOf(mapped: unknown, [head = '', ...rest]: readonly string[]): Mapped | undefined {
  const { [head]: inner } = (isObject(mapped) ? mapped : {}) as Readonly<Record<string, Mapped | undefined>>;
  if (inner === flattened && rest.length > 0) return keyword;
  return rest.length === 0 || inner === undefined ? inner : mappingOf(inner.properties, rest);
}

function constantMapping(value: string | number | boolean): Mapped {
  if (typeof value === 'string') return keyword;
  return { type: typeof value === 'boolean' ? 'boolean' : 'double' };
}

/** A field, by its path in the document. */
type Field = readonly [path: readonly string[], mapping: Mapped];

/** Returns the fields that a search may rely on. */
function mappedFields(content: ElasticsearchOptions['content'], shape: Shape): Field[] {
  const built = content === 'groups' ? groups : events;
  const fields = shape.fields.flatMap(({ from, to }): Field[] => {
    const mapping = mappingOf(built, from);
    if (mapping === undefined || to === undefined) return [];
    return [[to, mapping.type === 'date' && shape.times !== undefined ? MOMENTS[shape.times] : mapping]];
  });
  const constants = Object.entries(shape.constants).map(
    ([path, value]): Field => [path.split('.'), constantMapping(value)],
  );
  return [...fields, ...constants];
}

function withField(properties: Mapped, [head = '', ...rest]: readonly string[], mapping: Mapped): Mapped {
  if (rest.length === 0) return { ...properties, [head]: mapping };
  const { [head]: held } = properties as Readonly<Record<string, { readonly properties?: Mapped } | undefined>>;
  return { ...properties, [head]: { properties: withField(held?.properties ?? {}, rest, mapping) } };
}

const treeOf = (fields: readonly Field[]): Mapped =>
  fields.reduce<Mapped>((tree, [path, mapping]) => withField(tree, path, mapping), {});

/** Whether a mapping has the field, or stores everything there as it is. */
export function isMapped(properties: unknown, [head = '', ...rest]: readonly string[]): boolean {
  if (!isObject(properties) || !Object.hasOwn(properties, head)) return false;
  const inner = properties[head];
  return rest.length === 0 || (isObject(inner) && (inner.enabled === false || isMapped(inner.properties, rest)));
}

/** Returns the mapping of the fields that an index lacks; undefined if it has all. */
export function lackingFields({ content }: ElasticsearchOptions, shape: Shape, mappings: unknown): Mapped | undefined {
  const there = isObject(mappings) ? mappings.properties : undefined;
  const lacking = mappedFields(content, shape).filter(([path]) => !isMapped(there, path));
  return lacking.length === 0 ? undefined : treeOf(lacking);
}

const OTHERS = 'alias|ip|binary|dense_vector|object|nested|flattened|geo_point|geo_shape|\\w+_range';
const NUMBERS = `long|integer|short|byte|double|float|half_float|scaled_float|unsigned_long|${OTHERS}`;
const notText = new RegExp(`^(${NUMBERS}|boolean|date|date_nanos)$`);
const notNumber = new RegExp(`^(${OTHERS}|boolean)$`);
/** By the type of our field, the types that refuse its values. */
const REFUSING: Readonly<Record<string, RegExp>> = {
  keyword: notText,
  text: notText,
  double: notNumber,
  boolean: new RegExp(`^(${NUMBERS}|date|date_nanos)$`),
  date: new RegExp(`^(${NUMBERS}|boolean)$`),
  object: /^(?!(object|nested|flattened)$)/,
  flattened: /^(?!(object|nested|flattened)$)/,
};
const typeOf = ({ type = 'object' }: Mapped): string => String(type);

/** Formats that accept 2022-12-09T08:26:54.123Z, with names of older versions; a custom pattern has at least hours. */
const TAKES_MOMENTS = /(^|\|)8?(strict_?)?[dD]ate_?([oO]ptional_?)?[tT]ime(?!_no|No)|iso8601|rfc3339_lenient|H/;
const takesMoments = ({ format }: Mapped): boolean => format === undefined || TAKES_MOMENTS.test(String(format));

/** Types that can ignore values they do not accept; the index may say so for all of them. */
const LENIENT =
  /^(long|integer|short|byte|double|float|half_float|scaled_float|unsigned_long|ip|date|date_nanos|geo_\w+)$/;

/** Returns the fields of a mapping that refuse what is written to them, such as `name is integer`. */
export function refusingFields(
  { content }: ElasticsearchOptions,
  shape: Shape,
  { mappings, settings }: IndexState,
): string[] {
  const ofAll: unknown = settings?.index?.mapping;
  const lenient = isObject(ofAll) && ofAll.ignore_malformed === 'true';
  const isLenient = ({ type, ignore_malformed = lenient && LENIENT.test(String(type)) }: Mapped): boolean =>
    ignore_malformed === true;
  const look = (ours: unknown, there: unknown, above: string): string[] =>
    Object.entries(isObject(ours) ? ours : {}).flatMap(([name, field]) => {
      const held = isObject(there) ? there[name] : undefined;
      if (!isObject(field) || !isObject(held) || held.enabled === false || isLenient(held)) return [];
      if (field.type === 'date' && field.format === undefined && typeOf(held) === 'date' && !takesMoments(held))
        return [`${above}${name} has the format ${held.format}`];
      const refusing = field.format === undefined ? REFUSING[typeOf(field)] : notNumber;
      if (refusing?.test(typeOf(held))) return [`${above}${name} is ${typeOf(held)}`];
      return look(field.properties, held.properties, `${above}${name}.`);
    });
  return look(treeOf(mappedFields(content, shape)), mappings?.properties, '');
}

/** Fields added in a later version of the mapping: an index may lack them. */
const LATER = { groups: 'source', events: 'traceparent' };

/** Returns the top-level fields that a search may rely on. */
export function expectedFields({ content, dataStream }: ElasticsearchOptions, shape: Shape): string[] {
  const later = shape.fields.find(({ name }) => name === LATER[content])?.to?.[0];
  const names = mappedFields(content, shape).map(([[head = '']]) => head);
  return [...(dataStream ? ['@timestamp'] : []), ...new Set(names)].filter((field) => field !== later);
}

/**
 * It is `dynamic: false` because `extra` and foreign fields hold anything: guessed types would refuse documents. But what
 * a function makes, only Elasticsearch can map.
 */
function builtInMapping(options: ElasticsearchOptions, source: string, shape: Shape): Record<string, unknown> {
  const { content, dataStream } = options;
  return {
    dynamic: shape.fields.length === 0,
    _meta: metaOf(content, source, shape.id.perApp),
    properties: { ...(dataStream && { '@timestamp': { type: 'date' } }), ...treeOf(mappedFields(content, shape)) },
  };
}

/** Nothing in it is ever searched, and it takes any field. */
export function newVersionsIndex(source: string, { id }: Shape) {
  return {
    // For one node as well as several.
    settings: { 'index.number_of_shards': 1, 'index.auto_expand_replicas': '0-1' },
    mappings: { enabled: false, _meta: metaOf('versions', source, id.perApp) },
  };
}

const metaOf = (content: 'groups' | 'events' | 'versions', source: string, perApp: boolean) => ({
  groupSyncBridge: { mapping: MAPPING_VERSION, content, ...(content !== 'events' && !perApp && { source }) },
});

export function withoutFlattened(mappings: Mapped): Record<string, unknown> {
  return JSON.parse(JSON.stringify(mappings, (_key, value) => (value === flattened ? unindexed : value)));
}

const record = z.record(z.string(), z.unknown()).optional();
const indexFile = z.strictObject({ settings: record, mappings: record });

/** Returns what a missing index is created with; undefined if it must exist. Reads createIndex.file. */
export async function readNewIndex(place: Place, source: string, shape: Shape) {
  const { createIndex } = place.options;
  if (createIndex === false) return undefined;
  const { shards, replicas, file } = createIndex;
  const own = file === undefined ? {} : await readIndexFile(file, place);
  const settings: Record<string, unknown> = { ...own.settings };
  if (!mentions(settings, 'number_of_shards')) settings['index.number_of_shards'] = shards;
  if (!mentions(settings, 'number_of_replicas')) settings['index.number_of_replicas'] = replicas;
  if (own.mappings !== undefined) return { settings, mappings: own.mappings };
  const mappings = builtInMapping(place.options, source, shape);
  return { settings, mappings, unindexed: withoutFlattened(mappings) };
}

/** Elasticsearch refuses a setting given twice, however it is spelt. */
function mentions(settings: Record<string, unknown>, key: string): boolean {
  const { index } = settings;
  return key in settings || `index.${key}` in settings || (isObject(index) && key in index);
}

async function readIndexFile(file: string, place: Place): Promise<z.output<typeof indexFile>> {
  try {
    return indexFile.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (thrown) {
    const why = thrown instanceof z.ZodError ? issuesOf(thrown) : messageOf(thrown);
    const suggestion =
      'a JSON file {"settings": …, "mappings": …} is expected; its path is relative to the working directory';
    throw misconfigured(place, 'createIndex.file', `The index file ${file} cannot be used: ${why}`, suggestion);
  }
}
