/**
 * The shape in which a connector writes an event or a group, and reads a group back. A field is called by its own name,
 * wherever it is: `name` is `data.changed.name` of an event.
 */
import { z } from 'zod';
import { canonicalEvent } from './event.ts';
import { type Group, group, onlyFields } from './group.ts';
import { isObject } from './json.ts';
import { type Naming, namingOf, namingProblem } from './template.ts';

const path = z.string().regex(/^(?!(.*\.)?__proto__(\.|$))[^.\s]+(\.[^.\s]+)*$/, {
  error: 'a path is expected: names with a full stop between, such as notice.text',
});
const text = z.string().min(1);

export const shapeSettings = z
  .strictObject({
    fields: z
      .record(text, path)
      .default({})
      .describe(
        'Where a field is to lie, by its name: `{ name: group_name, notification: notice.text }`; a custom field is `customFields.<Key>`. Others keep their place.',
      ),
    omit: z.array(text).default([]).describe('Names of fields that are left out.'),
    constants: z
      .record(path, z.union([z.string(), z.number(), z.boolean()]))
      .default({})
      .describe('Values that stand in each, by their path.'),
    id: text
      .optional()
      .describe('Of elasticsearch, the `_id`: `tim-{groupId}`, of events with {id}; {source} is the app.'),
    key: text.optional().describe('Of kafka, the key of a record: `{source}/{groupId}`.'),
    times: z
      .enum(['iso', 'epochMillis', 'epochSeconds'])
      .optional()
      .describe('How moments are written; left out, as the event and the group have them.'),
    versions: path.optional().describe('Of groups, where the versions of the fields lie, such as `_sync`.'),
    versionsIndex: text
      .optional()
      .describe(
        'Of elasticsearch, instead of `versions`: an index of the bridge’s own in which they lie, for documents that take no foreign field. It is made when it is missing.',
      ),
    transform: text
      .optional()
      .describe(
        'Of events: a module, its path relative to this file, whose default export is a function of the event that returns what is written. Instead of the other settings.',
      ),
    transformMs: z.int().min(1).max(10_000).default(100).describe('How long that function may take for one event.'),
  })
  .describe('The shape of what is written, where others expect one of their own.');
export type ShapeSettings = z.output<typeof shapeSettings>;

/** A field of an event or a group, and its place in either form; without `to` it is left out. */
interface ShapedField {
  readonly name: string;
  readonly from: readonly string[];
  readonly to: readonly string[] | undefined;
  /** The setting that says so; undefined if it keeps its place. */
  readonly set?: readonly string[];
}

type Json = Readonly<Record<string, unknown>>;
type Content = 'events' | 'groups';

export interface Shape {
  /** Empty if a function makes what is written. */
  readonly fields: readonly ShapedField[];
  readonly constants: ShapeSettings['constants'];
  readonly times: ShapeSettings['times'];
  /** Whether an event in this shape is still a CloudEvent. */
  readonly isCloudEvent: boolean;
  /** Returns an event or a group in this shape; put into `held`, whose other fields stay. */
  out(document: Json, held?: Json): Json;
  /** Returns what was put in, except for what is left out. */
  back(shaped: Json): Json;
  /** Returns the group as if what is left out had never been set; the same object if nothing is. */
  project(group: Group): Group;
  /** Returns the paths of missing or different constants. */
  lacks(shaped: Json): readonly string[];
  /** Names of documents: of groups by group id, of events by event id. */
  readonly id: Naming;
  /** Keys of records, by group id. */
  readonly key: Naming;
  /** The index for versions that are not part of the output. */
  readonly versionsIndex?: string | undefined;
}

const CUSTOM = 'customFields';

/** Returns the paths of all fields of an event or a group, containers before their content. */
function pathsOf(schema: z.ZodObject, above: readonly string[] = []): (readonly string[])[] {
  return Object.entries(schema.shape).flatMap(([name, inner]) => {
    const here = [...above, name];
    return inner instanceof z.ZodObject ? [here, ...pathsOf(inner, here)] : [here];
  });
}

const PATHS = { events: pathsOf(canonicalEvent), groups: pathsOf(group) };
const nameOf = (path: readonly string[]): string => path.at(-1) ?? '';
const isPrefix = (one: readonly string[], other: readonly string[]): boolean =>
  one.every((name, index) => other[index] === name);
const isWithin = (inner: readonly string[], outer: readonly string[]): boolean =>
  inner.length > outer.length && isPrefix(outer, inner);

const isCustom = (name: string): boolean => name.startsWith(`${CUSTOM}.`) && name.length > CUSTOM.length + 1;

/** Returns each field with its target; a custom field only if the settings name it. */
function shapedFields(settings: ShapeSettings, content: Content): ShapedField[] {
  const { fields, versions, versionsIndex } = settings;
  const omit = versionsIndex === undefined ? settings.omit : [...settings.omit, 'versions'];
  const named = new Map(Object.entries(fields).map(([name, path]) => [name, { path, set: ['fields', name] }]));
  if (versions !== undefined) named.set('versions', { path: versions, set: ['versions'] });
  const targetOf = (from: readonly string[]): Pick<ShapedField, 'to' | 'set'> => {
    for (let length = from.length; length > 0; length--) {
      const name = from[length - 1] ?? '';
      const target = named.get(name);
      if (target !== undefined) return { to: [...target.path.split('.'), ...from.slice(length)], set: target.set };
      if (omit.includes(name)) return { to: undefined };
    }
    return { to: from };
  };
  const paths = PATHS[content];
  const leaves = paths.filter((one) => !paths.some((other) => isWithin(other, one)));
  const custom = leaves.find((leaf) => nameOf(leaf) === CUSTOM) ?? [];
  const keys = [...named.keys(), ...omit].filter(isCustom);
  return [
    ...leaves.map((from) => ({ name: nameOf(from), from, ...targetOf(from) })),
    ...keys.map((name) => {
      const from = [...custom, name.slice(CUSTOM.length + 1)];
      return { name, from, to: named.get(name)?.path.split('.'), set: ['fields', name] };
    }),
  ];
}

/** Compiles a shape that `shapeProblems` accepts into pure functions. */
export function compileShape(settings: ShapeSettings, content: Content, source = ''): Shape {
  const fields = settings.transform === undefined ? shapedFields(settings, content) : [];
  const { constants, times } = settings;
  const fixed = Object.entries(constants).map(([path, value]) => [path.split('.'), value] as const);
  const kept = fields.flatMap((field) => (field.to === undefined ? [] : [{ ...field, to: field.to }]));
  const containers = PATHS[content].filter((one) => PATHS[content].some((other) => isWithin(other, one)));
  const staying = containers.filter((path) => kept.some(({ from, to }) => isWithin(from, path) && isWithin(to, path)));
  const placeOf = (name: string) => kept.find((field) => field.name === name)?.to ?? [];
  /** Custom fields with places of their own. */
  const apart = new Set(fields.filter(({ name }) => isCustom(name)).map(({ from }) => nameOf(from)));
  const omitted = new Set(fields.flatMap(({ name, to }) => (to === undefined && !NEEDED.includes(name) ? name : [])));
  const named = new Set(kept.map(({ name }) => name));
  const stays = (field: string): boolean =>
    !omitted.has(field) && (!isCustom(field) || !omitted.has(CUSTOM) || named.has(field));

  const { id = `{${variableOf(content)}}`, key = '{groupId}' } = settings;
  return {
    fields,
    constants,
    times,
    id: namingOf(id, variableOf(content), source),
    key: namingOf(key, 'groupId', source),
    versionsIndex: settings.versionsIndex,
    isCloudEvent: ATTRIBUTES.every((name) => placeOf(name).join('.') === name),
    out(document, held = {}) {
      let shaped = held;
      for (const { name, from, to } of kept) {
        const value = valueAt(document, from);
        shaped = put(shaped, to, name === CUSTOM ? without(value, apart) : momentOut(name, value, times));
      }
      // Readers rely on an object that keeps its place, even an empty one.
      for (const path of staying)
        if (valueAt(shaped, path) === undefined && isObject(valueAt(document, path))) shaped = put(shaped, path, {});
      for (const [path, value] of fixed) shaped = put(shaped, path, value);
      return shaped;
    },
    back(shaped) {
      const latest = versionAt(shaped, placeOf('versions'));
      let document: Json = {};
      for (const container of containers) document = put(document, container, {});
      for (const { name, from, to } of kept) {
        const value = valueAt(shaped, to);
        if (value === undefined) continue;
        document = put(
          document,
          from,
          name === CUSTOM ? without(value, apart) : momentBack(name, value, times, latest),
        );
      }
      return document;
    },
    project: (group) => (omitted.size === 0 ? group : onlyFields(group, stays)),
    lacks: (shaped) => fixed.filter(([path, value]) => valueAt(shaped, path) !== value).map(([path]) => path.join('.')),
  };
}

const variableOf = (content: Content) => (content === 'groups' ? 'groupId' : 'id');

/** What makes a JSON object a CloudEvent. */
const ATTRIBUTES = ['specversion', 'id', 'source', 'type'];

/** Returns the value at a path; foreign documents may have the whole path as one name, with full stops. */
export function valueAt(object: unknown, path: readonly string[]): unknown {
  if (!isObject(object)) return undefined;
  const whole = path.join('.');
  if (Object.hasOwn(object, whole)) return object[whole];
  const [head = '', ...rest] = path;
  return rest.length > 0 && Object.hasOwn(object, head) ? valueAt(object[head], rest) : undefined;
}

/** Returns the object with this value at the path, in whichever form it is there; undefined removes it. */
function put(object: Json, path: readonly string[], value: unknown): Json {
  const whole = path.join('.');
  const [head = '', ...rest] = path;
  if (rest.length === 0 || Object.hasOwn(object, whole)) {
    if (value !== undefined) return { ...object, [whole]: value };
    return Object.hasOwn(object, whole) ? (without(object, new Set([whole])) as Json) : object;
  }
  const inner = Object.hasOwn(object, head) ? object[head] : undefined;
  if (value === undefined && !isObject(inner)) return object;
  return { ...object, [head]: put(isObject(inner) ? inner : {}, rest, value) };
}

/** Returns undefined if nothing is left, so that separated custom fields leave no empty object behind. */
function without(value: unknown, names: ReadonlySet<string>): unknown {
  if (!isObject(value)) return value;
  const entries = Object.entries(value);
  const left = entries.filter(([name]) => !names.has(name));
  return left.length === entries.length ? value : left.length === 0 ? undefined : Object.fromEntries(left);
}

/** Moments, and how events and groups hold them. */
export const MOMENTS: Readonly<Record<string, 'iso' | 'epochMillis'>> = {
  time: 'iso',
  updatedAt: 'iso',
  occurredAt: 'epochMillis',
  receivedAt: 'epochMillis',
};

/** The last moment that a Date can represent. */
const LAST = 8.64e15;

function written(ms: number, times: ShapeSettings['times'], otherwise: unknown): unknown {
  if (!(Math.abs(ms) <= LAST)) return otherwise;
  return times === 'iso' ? new Date(ms).toISOString() : times === 'epochSeconds' ? Math.floor(ms / 1_000) : ms;
}

const millisOf = (value: unknown): number =>
  typeof value === 'number' ? value : typeof value === 'string' ? Date.parse(value) : Number.NaN;

function momentOut(name: string, value: unknown, times: ShapeSettings['times']): unknown {
  if (times === undefined || !Object.hasOwn(MOMENTS, name)) return value;
  return written(millisOf(value), times, value);
}

/** The version of `updatedAt` has the milliseconds that a number of seconds lacks. */
function momentBack(name: string, value: unknown, times: ShapeSettings['times'], latest: number): unknown {
  const native = MOMENTS[name];
  if (times === undefined || native === undefined) return value;
  if (times !== 'epochSeconds' || typeof value !== 'number') return written(millisOf(value), native, value);
  const exact = name === 'updatedAt' && Math.floor(latest / 1_000) === value ? latest : value * 1_000;
  return written(exact, native, value);
}

function versionAt(shaped: Json, path: readonly string[]): number {
  const version = valueAt(shaped, [...path, 'updatedAt']);
  return Array.isArray(version) ? Number(version[0]) : Number.NaN;
}

/** The shape if no other is asked for. */
export const plainShape = (content: Content): Shape => compileShape(shapeSettings.parse({}), content);

export interface ShapeProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Every connector's groups are read back: to merge with them, to verify them, or by workers. */
const NEEDED = ['versions', 'destroyed'];
const NO_VERSIONS = 'an event has no versions: leave it out';
const TWO_PLACES = 'the versions are to lie in the documents, too: leave out one of the two';
const IRREVERSIBLE = 'copies of groups are read back, which no function can undo: use fields, omit and constants';
const MAKES_ALL = 'it makes the whole of what is written: leave out fields, omit, constants and times';

/** Returns what prevents a shape from being written, or groups from being read back unchanged. */
export function shapeProblems(settings: ShapeSettings, content: Content): ShapeProblem[] {
  const { fields, omit, constants, id, key, transform, versions, versionsIndex } = settings;
  const known = new Set(PATHS[content].map(nameOf));
  const isKnown = (name: string): boolean => known.has(name) || isCustom(name);
  const unknown = `no field of ${content === 'groups' ? 'a group' : 'an event'} is called so: ${[...known].join(', ')}, customFields.<Key>`;
  const problem = (message: string | false | undefined, ...path: (string | number)[]): ShapeProblem[] =>
    message === undefined || message === false ? [] : [{ path, message }];
  const hasVersionsField = (versions ?? fields.versions) !== undefined;
  const given = [Object.keys(fields), omit, Object.keys(constants)].some((names) => names.length > 0);
  return [
    ...Object.keys(fields).flatMap((name) => (isKnown(name) ? [] : problem(unknown, 'fields', name))),
    ...omit.flatMap((name, index) => {
      const at = ['omit', index];
      if (!isKnown(name)) return problem(unknown, ...at);
      if (Object.hasOwn(fields, name)) return problem('it has a place in `fields`: leave out one of the two', ...at);
      if (content === 'events' || versionsIndex !== undefined || !NEEDED.includes(name)) return [];
      return problem('copies are merged by it, so that it cannot be left out', ...at);
    }),
    ...problem(id && namingProblem(id, variableOf(content)), 'id'),
    ...problem(key && namingProblem(key, 'groupId'), 'key'),
    ...problem(versions !== undefined && content === 'events' && NO_VERSIONS, 'versions'),
    ...problem(versions !== undefined && Object.hasOwn(fields, 'versions') && '`fields` tells of it, too', 'versions'),
    ...problem(versionsIndex !== undefined && content === 'events' && NO_VERSIONS, 'versionsIndex'),
    ...problem(versionsIndex !== undefined && hasVersionsField && TWO_PLACES, 'versionsIndex'),
    ...problem(transform !== undefined && content === 'groups' && IRREVERSIBLE, 'transform'),
    ...problem(transform !== undefined && (given || settings.times !== undefined) && MAKES_ALL, 'transform'),
    ...collisions(settings, content),
  ];
}

/** Two at the same place, or one inside the other: the one written first would be lost. */
function collisions(settings: ShapeSettings, content: Content): ShapeProblem[] {
  const places = [
    ...shapedFields(settings, content),
    ...Object.keys(settings.constants).map((path) => {
      return { name: `the constant ${path}`, to: path.split('.'), set: ['constants', path] };
    }),
  ].flatMap(({ name, to, set }) => (to === undefined ? [] : [{ name, to, set }]));
  return places.flatMap((one, index) =>
    places.slice(index + 1).flatMap((other) => {
      if (!isPrefix(one.to, other.to) && !isPrefix(other.to, one.to)) return [];
      const [told, found] = other.set === undefined ? [one, other] : [other, one];
      const where = found.to.length === told.to.length ? 'lies there' : `lies at ${found.to.join('.')}`;
      return [{ path: told.set ?? [], message: `${found.name} ${where}, too: one of the two would be lost` }];
    }),
  );
}
