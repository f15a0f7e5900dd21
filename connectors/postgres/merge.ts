/** The rules of src/model/group.ts in SQL: one statement inserts new groups and merges existing ones. */
import { CUSTOM_BOUNDS } from '../../src/model/group.ts';
import { columnsOf, nameOf, quoted, type TableOptions, tableName } from './columns.ts';

/** Whether one version is later; the id breaks ties. Ids are ASCII, so their bytes sort as in JavaScript. */
const later = (one: string, other: string): string =>
  `((${one}->>0)::numeric, (${one}->>1) COLLATE "C") > ((${other}->>0)::numeric, (${other}->>1) COLLATE "C")`;

const objectOf = (from: string): string => `(SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM ${from})`;
const asObject = (value: string): string => `CASE jsonb_typeof(${value}) WHEN 'object' THEN ${value} ELSE '{}' END`;

/** An unreadable version counts as none, as everywhere. */
const IS_VERSION = `value @? 'strict $ ? (@.type() == "array" && @.size() == 2 && @[0].type() == "number" && @[0].floor() == @[0] && @[0].abs() <= 9007199254740991 && @[1].type() == "string")'`;

/** The result for the versions: `born` if the group was created anew, `kept` existing ones, later `news`, equal `same`. */
const merged = (versions: string): string => `(
  SELECT b.born, k.kept, k.birth, n.news, n.same
  FROM (SELECT ${objectOf(`jsonb_each(${asObject(`own.${versions}`)}) WHERE ${IS_VERSION}`)} AS there, excluded.${versions} AS given OFFSET 0) v
  CROSS JOIN LATERAL (SELECT v.given ? 'created' AND (NOT v.there ? 'created' OR ${later("(v.given->'created')", "(v.there->'created')")}) AS born OFFSET 0) b
  CROSS JOIN LATERAL (SELECT
    CASE WHEN b.born THEN v.given ELSE v.there END->'created' AS birth,
    CASE WHEN b.born THEN ${objectOf(`jsonb_each(v.there) WHERE ${later('value', "(v.given->'created')")}`)} ELSE v.there END AS kept OFFSET 0) k
  CROSS JOIN LATERAL (SELECT
    coalesce(jsonb_object_agg(key, value) FILTER (WHERE NOT k.kept ? key OR ${later('value', '(k.kept->key)')}), '{}') AS news,
    coalesce(jsonb_object_agg(key, value) FILTER (WHERE k.kept->key = value), '{}') AS same
    FROM jsonb_each(v.given) WHERE key <> 'created' AND (k.birth IS NULL OR NOT ${later('k.birth', 'value')}) OFFSET 0) n
)`;

/**
 * Counts bytes as in JSON, where a character kept as ␛ and digits takes six, and ␛ itself three. The statement is ASCII,
 * since a character that the database's encoding lacks would have it refused, whatever the rows.
 */
const bytes = (text: string): string =>
  `(octet_length(to_json(regexp_replace(regexp_replace(${text}, E'\\\\u241b241b', 'ESC', 'g'), E'\\\\u241b....', 'sixsix', 'g'))::text) - 2)`;

/** The custom fields changed last, as many as a group holds. */
function bounded(custom: string, versions: string): string {
  const { most, keyBytes, valueBytes } = CUSTOM_BOUNDS;
  const version = `(${versions}->('customFields.' || key))`;
  const text = `(value #>> '{}')`;
  return `CASE WHEN (SELECT count(*) FROM jsonb_object_keys(${custom})) <= ${most} THEN ${custom} ELSE ${objectOf(`(
    SELECT key, value, row_number() OVER latest AS place
    FROM jsonb_each(${custom})
    WHERE jsonb_typeof(value) <> 'string' OR (${bytes('key')} <= ${keyBytes} AND ${bytes(text)} <= ${valueBytes})
    WINDOW latest AS (ORDER BY coalesce((${version}->>0)::numeric, 0) DESC, coalesce(${version}->>1, '') COLLATE "C" DESC, key COLLATE "C")
  ) ranked WHERE place <= ${most}`)} END`;
}

/**
 * Returns the statement that puts the rows of `$1`, a JSON array of objects by column. It locks, merges and writes
 * existing rows in one go, so that any number of writers converge without reading first. It returns the ids of the rows
 * written; rows of another app stay as they are.
 */
export function upsert(options: TableOptions, how: 'join' | 'repair'): string {
  const columns = columnsOf(options);
  const [id, source, custom, versions] = ['groupId', 'source', 'customFields', 'versions'].map((field) =>
    nameOf(columns, field),
  ) as [string, string, string, string];
  const registers = columns.filter(({ field }) => !['groupId', 'source', 'customFields', 'versions'].includes(field));
  const taken = how === 'join' ? 'm.news' : '(m.news || m.same)';
  const there = asObject(`own.${custom}`);
  const isCustom = (set: string): string => `${set} ? ('customFields.' || key)`;

  const values = registers.map(({ field, name }) => {
    // A new birth does not reset `destroyed`, since the creation itself sets it.
    const stays = field === 'destroyed' ? 'true' : `NOT m.born OR m.kept ? '${field}'`;
    return `CASE WHEN ${taken} ? '${field}' THEN excluded.${quoted(name)} WHEN ${stays} THEN own.${quoted(name)} END`;
  });
  const differing = registers.map(
    ({ field, name }) => `(m.same ? '${field}' AND own.${quoted(name)} IS DISTINCT FROM excluded.${quoted(name)})`,
  );
  const changedByHand = `${differing.join(' OR ')} OR EXISTS (
    SELECT FROM jsonb_each(excluded.${custom}) WHERE ${isCustom('m.same')} AND ${there}->key IS DISTINCT FROM value)`;
  const names = columns.map(({ name }) => quoted(name)).join(', ');
  return `INSERT INTO ${tableName(options)} AS own (${names})
SELECT ${names} FROM json_to_recordset($1::json) AS given(${columns.map(({ name, type }) => `${quoted(name)} ${type}`).join(', ')})
-- Always in the same order, so that two writers do not wait for each other.
ORDER BY ${id} COLLATE "C"
ON CONFLICT (${id}) DO UPDATE SET (${source}, ${registers.map(({ name }) => quoted(name)).join(', ')}, ${custom}, ${versions}) = (
  SELECT coalesce(excluded.${source}, own.${source}), ${values.join(', ')}, f.custom,
    CASE WHEN f.custom = c.custom THEN c.versions
    ELSE ${objectOf(`jsonb_each(c.versions) WHERE NOT starts_with(key, 'customFields.') OR f.custom ? substr(key, 14)`)} END
  FROM ${merged(versions)} m
  CROSS JOIN LATERAL (SELECT
    CASE WHEN m.born THEN ${objectOf(`jsonb_each(${there}) WHERE ${isCustom('m.kept')}`)} ELSE ${there} END
      || ${objectOf(`jsonb_each(excluded.${custom}) WHERE ${isCustom(taken)}`)} AS custom,
    m.kept || m.news || CASE WHEN m.birth IS NULL THEN '{}' ELSE jsonb_build_object('created', m.birth) END AS versions OFFSET 0) c
  CROSS JOIN LATERAL (SELECT ${bounded('c.custom', 'c.versions')} AS custom OFFSET 0) f)
WHERE (own.${source} IS NULL OR excluded.${source} IS NULL OR own.${source} = excluded.${source})
  AND EXISTS (SELECT FROM ${merged(versions)} m WHERE m.born OR m.news <> '{}'${how === 'join' ? '' : ` OR ${changedByHand}`})
RETURNING own.${id} AS id`;
}
