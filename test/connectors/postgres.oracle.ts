/** The oracle of the PostgreSQL tests: the server itself, asked by a connection of the tests' own. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll } from 'vitest';
import type { Host } from '../../connectors/contract.ts';
import { postgres } from '../../connectors/postgres/connector.ts';
import { postgresOptions } from '../../connectors/postgres/options.ts';
import type { CanonicalEvent } from '../../src/model/event.ts';
import type { Group } from '../../src/model/group.ts';
import { whyNone } from '../servers/global-setup.ts';
import { missingPostgresql, type StoreServer, startPostgresql } from '../servers/postgresql.ts';
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

/** Why the tests that need the server cannot run, or ''. */
export const skip =
  (await whyNone('PostgreSQL', missingPostgresql)) === undefined ? '' : 'no PostgreSQL, see the notice at the start';
/** For the titles. */
export const skipped = skip && ` (skipped: ${skip})`;
export type Content = 'groups' | 'events';

let started: StoreServer | undefined;
let client: pg.Client | undefined;

/** Starts the server of this file's tests. */
export function useServer(): void {
  beforeAll(async () => {
    if (skip !== '') return;
    started = await startPostgresql();
    client = new pg.Client(serverAddress());
    await client.connect();
  });
  afterAll(async () => {
    await client?.end();
    await started?.server.stop();
  });
}

/** The server, once it was started. */
export function server(): StoreServer['server'] {
  if (started === undefined) throw new Error('the server is not started yet');
  return started.server;
}

function serverAddress() {
  const { PGPORT } = started?.env ?? {};
  return { host: '127.0.0.1', port: Number(PGPORT), user: 'postgres', database: 'postgres' };
}

/** The URL of the server, for a user of a name. */
export const url = (user = 'postgres', host = '127.0.0.1'): string =>
  `postgresql://${user}@${host}:${serverAddress().port}/postgres`;

export async function sql<Row extends object>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
  if (client === undefined) throw new Error('the server is not started yet');
  return (await client.query<Row>(text, [...values])).rows;
}

export const newTable = (): string => `t_${randomUUID().replaceAll('-', '')}`;

const COLUMNS: Readonly<Record<string, string>> = {
  groupId: 'group_id',
  source: 'source',
  groupType: 'group_type',
  name: 'name',
  introduction: 'introduction',
  notification: 'notification',
  faceUrl: 'face_url',
  customFields: 'custom_fields',
  owner: 'owner',
  lastOperator: 'last_operator',
  updatedAt: 'updated_at',
  destroyed: 'destroyed',
  versions: 'versions',
};

/** The README's rule: ␛ and four digits stand for what a text cannot hold. */
const decoded = <Value>(value: Value): Value =>
  JSON.parse(JSON.stringify(value).replace(/␛([0-9a-f]{4})/g, '\\u$1')) as Value;
const encoded = (text: string): string =>
  text.replace(/[\0␛]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, (character) => {
    return `␛${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });

type Stored = Readonly<Record<string, unknown>> & { readonly xmin: string };

/** The rows, in the order in which they were written, with what changes at each write. */
const stored = (table: string): Promise<Stored[]> =>
  sql(`SELECT xmin::text, t.* FROM "${table}" t ORDER BY t.xmin::text::bigint, ctid`);

function groupOf(row: Stored): Group {
  const fields = Object.entries(COLUMNS).map(([field, column]) => {
    const value = row[column];
    return [field, value instanceof Date ? value.toISOString() : value];
  });
  return decoded(Object.fromEntries(fields.filter(([, value]) => value !== null))) as Group;
}

/** The groups that a table holds, by their ids. */
export async function groups(table: string): Promise<Map<string, Group>> {
  return new Map((await stored(table)).map((row) => [groupOf(row).groupId, groupOf(row)]));
}

export interface TablePlace extends Place {
  readonly table: string;
}

export function place(content: Content, more: object = {}): TablePlace {
  const table = newTable();
  return {
    table,
    options: { url: url(), table, content, ...more },
    readBack: async () => (await stored(table)).flatMap(content === 'groups' ? inGroup(table) : inHistory(table)),
    ...(content === 'groups' && { copies: copiesIn(table) }),
    dispose: async () => void (await sql(`DROP TABLE IF EXISTS "${table}"`)),
  };
}

const inHistory =
  (table: string) =>
  (row: Stored): Found[] => {
    const { id, subject, data } = decoded(row.event as CanonicalEvent);
    return [{ id, groupId: subject, changed: data.changed, receipt: `${table}/${id}`, ...{ xmin: row.xmin } }];
  };

const inGroup =
  (table: string) =>
  (row: Stored): Found[] => {
    const group = groupOf(row);
    return foundInGroup(group, `${table}/${group.groupId}`).map((found) => ({ ...found, xmin: row.xmin }));
  };

function copiesIn(table: string): Copies {
  return {
    state: async (groupId) => (await groups(table)).get(groupId),
    where: (groupId) => `${table}/${groupId}`,
    async overwrite(groupId, state) {
      if (state === undefined)
        return void (await sql(`DELETE FROM "${table}" WHERE group_id = $1`, [encoded(groupId)]));
      const held = Object.entries(COLUMNS).map(
        ([field, column]) => [column, state[field as keyof Group] ?? null] as const,
      );
      const values = held.map(([, value]) =>
        typeof value === 'object' && value !== null ? JSON.stringify(value) : value,
      );
      const names = held.map(([column], index) => `"${column}" = $${index + 1}`);
      await sql(`UPDATE "${table}" SET ${names.join(', ')} WHERE group_id = $1`, values);
    },
  };
}

export const open = (
  options: Record<string, unknown>,
  settings: DrivenSettings = {},
  host: Host = testHost(),
): Promise<Driven> => openDriven(postgres, postgresOptions.parse(options), host, settings);
