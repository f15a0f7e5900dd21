import { X509Certificate } from 'node:crypto';
import { chmodSync, chownSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import pg from 'pg';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { examine } from '../../connectors/index.ts';
import { loadDriver } from '../../connectors/postgres/client.ts';
import { postgres } from '../../connectors/postgres/connector.ts';
import { postgresOptions } from '../../connectors/postgres/options.ts';
import { restored, storable, storableText } from '../../connectors/postgres/stored-text.ts';
import type { CanonicalEvent } from '../../src/model/event.ts';
import { Unreachable } from '../../src/model/fault.ts';
import { CUSTOM_BOUNDS, type Group, join as joined, merge, newGroup, repair } from '../../src/model/group.ts';
import { compileShape, type ShapeSettings, shapeSettings } from '../../src/model/shape.ts';
import { createAuthority, createPemFolder } from '../servers/certificates.ts';
import { delivered, mergedGroups } from '../support/histories.ts';
import { startSilence } from '../support/silence.ts';
import {
  type Content,
  groups,
  newTable,
  open,
  place,
  server,
  skip,
  skipped,
  sql,
  url,
  useServer,
} from './postgres.oracle.ts';
import {
  connectorSuite,
  type Driven,
  makeEvent,
  never,
  type Poison,
  testHost,
  unreachableBy,
  withSink,
} from './suite.ts';

useServer();

/** A table with a constraint of its owner's: no other name than a date is taken. */
function poison(content: Content): Poison {
  const name = content === 'groups' ? 'name' : "event->'data'->'changed'->>'name'";
  return {
    reason: /new row for relation ".*" violates check constraint "only_dates".*23514/,
    event: (groupId) => makeEvent({ name: 'no date' }, { groupId }),
    async place() {
      const chosen = await made(content);
      await sql(`ALTER TABLE "${chosen.table}" ADD CONSTRAINT only_dates CHECK (${name} ~ '^\\d{4}-')`);
      return chosen;
    },
  };
}

/** A place whose table the connector has made. */
async function made(content: Content, more: object = {}) {
  const chosen = place(content, more);
  await (await open(chosen.options)).close();
  return chosen;
}

for (const content of ['groups', 'events'] as const) {
  connectorSuite({
    name: `postgres, content: ${content}`,
    connector: postgres,
    keeps: content === 'groups' ? 'the latest of a group' : 'every event',
    skip,
    place: async () => place(content),
    unreachable: async () => ({ url: 'postgresql://user@127.0.0.1:1/any', table: 'any', content }),
    poison: poison(content),
  });
}

/** The sink of groups behind a driven one. */
function groupSink({ sink }: Driven) {
  if (sink.holds !== 'groups' || sink.read === undefined) throw new Error('it holds no groups');
  return { ...sink, read: sink.read };
}

describe('a text that PostgreSQL cannot hold', () => {
  const odd = fc.string({
    unit: fc.constantFrom('\0', '\ud83d', '\ude00', '␛', '0', '241b', '\\', '"', 'u', '群', '\n'),
  });

  test('is kept without loss, names of fields too, and every other one as it is', () => {
    fc.assert(
      fc.property(fc.dictionary(odd, odd), (value) => {
        const text = JSON.stringify(value);
        const json = storable(text);
        expect(json).not.toMatch(/(?<!\\)(\\\\)*\\u(0000|d[89a-f])/);
        expect(restored(json)).toBe(text.replaceAll('␛', '\\u241b'));
      }),
    );
    expect(storableText('a\0b ␛ \ud83d 🎉 \\u0000')).toBe('a␛0000b ␛241b ␛d83d 🎉 \\u0000');
  });

  test('may be escaped in any way that JSON knows', () => {
    expect(storable(String.raw`"\uD83D\uDE00 \uD83D \u241B \\u0000"`)).toBe(
      String.raw`"\uD83D\uDE00 ␛d83d ␛241b \\u0000"`,
    );
  });
});

describe.skipIf(skip !== '')(`rows in PostgreSQL are merged as groups are${skipped}`, () => {
  const inGroup = (event: CanonicalEvent, groupId: string): CanonicalEvent => ({
    ...event,
    subject: groupId,
    data: { ...event.data, groupId },
  });

  /** Pairs of states of one group, of some events each, and its own group id. */
  function pairs(): [one: Group, other: Group][] {
    const more = { name: 'x', customFields: { 'odd \0 key': '\ud83d', k: 'changed' } };
    return fc.sample(delivered, 80).map(([, shuffled], n) => {
      const groupId = `g${n}\0"`;
      const events = shuffled
        .filter(({ subject }) => subject === shuffled[0]?.subject)
        .map((event) => inGroup(event, groupId));
      const halves = [events.slice(0, events.length >> 1), events.slice(events.length >> 1)];
      if (n % 5 === 0) halves[0]?.push(makeEvent(more, { groupId, at: 1_700_000_000_003, id: 'id050' }));
      return halves.map((half) => half.reduce(merge, newGroup(groupId))) as [Group, Group];
    });
  }
  const byId = (states: readonly Group[]) => new Map(states.map((state) => [state.groupId, state]));

  test('join is join, and says what it changed', async () => {
    const chosen = place('groups');
    await withSink(postgres, chosen, async (driven) => {
      const sink = groupSink(driven);
      const all = pairs();
      await sink.put(
        all.map(([one]) => one),
        'join',
        never(),
      );
      const outcomes = await sink.put(
        all.map(([, other]) => other),
        'join',
        never(),
      );
      expect(await groups(chosen.table)).toEqual(byId(all.map(([one, other]) => joined(one, other))));
      for (const [one, other] of all) {
        const kind = joined(one, other) === one ? 'superseded' : 'delivered';
        expect(outcomes.get(one.groupId)?.kind).toBe(kind);
      }
      // In the other order it is the same, but for a copy's own words.
      const status = await sink.read(
        all.map(([one, other]) => joined(other, one)),
        never(),
      );
      expect([...status.values()].filter((copy) => copy.status !== 'in-step')).toEqual([]);
    });
  });

  test('repair is repair, compare tells what it would do, and a row without versions is taken over', async () => {
    const chosen = place('groups');
    await withSink(postgres, chosen, async (driven) => {
      const sink = groupSink(driven);
      const all = pairs();
      await sink.put(
        all.map(([one]) => one),
        'join',
        never(),
      );
      // By hand: other values, and some rows without any version.
      await sql(`UPDATE "${chosen.table}" SET name = 'by hand', destroyed = NOT destroyed,
        custom_fields = custom_fields || '{"k": "by hand", "theirs": "stays"}' WHERE group_id LIKE '%3%'`);
      await sql(
        `UPDATE "${chosen.table}" SET versions = '{"name": "soon", "owner": [1e300, "e"], "faceUrl": [1.5, "e"], "created": [1]}' WHERE group_id LIKE '%7%'`,
      );
      const before = await groups(chosen.table);
      // What nobody can read as a version counts as none.
      const cleaned = (group: Group): Group =>
        (group.versions.created as unknown[] | undefined)?.length === 1 ? { ...group, versions: {} } : group;
      const others = all.map(([, other]) => other);
      const compared = await sink.put(others, 'compare', never());
      expect(await groups(chosen.table)).toEqual(before);
      const repaired = await sink.put(others, 'repair', never());
      const after = await groups(chosen.table);
      const kinds = new Set<unknown>();
      for (const other of others) {
        const there = cleaned(before.get(other.groupId) as Group);
        const expected = repair(there, other);
        const kind = expected === there ? 'superseded' : 'delivered';
        kinds.add(kind);
        expect([compared, repaired].map((outcomes) => outcomes.get(other.groupId)?.kind)).toEqual([kind, kind]);
        expect(after.get(other.groupId)).toEqual(kind === 'delivered' ? expected : before.get(other.groupId));
      }
      expect(kinds.size).toBe(2);
    });
  });

  test('of more custom fields than a group holds those stay that were changed last', async () => {
    const chosen = place('groups');
    await withSink(postgres, chosen, async (driven) => {
      const sink = groupSink(driven);
      const wide = (from: number, count: number, value: string, at: number) =>
        Array.from({ length: 7 }, (_, turn) => {
          const keys = Array.from({ length: count }, (_, n) => from + n).filter((n) => n % 7 === turn);
          const customFields = Object.fromEntries(keys.map((n) => [`k${n}`, value]));
          return makeEvent({ customFields }, { groupId: 'wide', at: at + turn, id: `e${turn % 3}${at}` });
        }).reduce(merge, newGroup('wide'));
      // Many, and long ones: a NUL and a line end take more bytes in JSON than one.
      const odd = `${'\n'.repeat(900)}${'\0'.repeat(200)}␛`;
      const states = [
        wide(0, 80, 'short', 100),
        wide(40, 90, 'short', 103),
        wide(100, 60, odd, 102),
        wide(0, 95, 'x'.repeat(3_000), 200),
        wide(20, 70, odd, 300),
      ];
      let expected = newGroup('wide');
      for (const state of states) {
        expected = joined(expected, state);
        await sink.put([state], 'join', never());
        expect((await groups(chosen.table)).get('wide')).toEqual(expected);
      }
      expect(Object.keys(expected.customFields)).toHaveLength(CUSTOM_BOUNDS.most);
    });
  });

  test.each(['LATIN1', 'EUC_JP'])('in a database of %s, many custom fields, too', async (encoding) => {
    const database = `in_${encoding.toLowerCase()}`;
    await sql(`CREATE DATABASE ${database} ENCODING '${encoding}' LOCALE 'C' TEMPLATE template0`);
    const usual = place('groups');
    const chosen = { ...usual, options: { ...usual.options, url: url().replace(/postgres$/, database) } };
    await withSink(postgres, chosen, async (driven) => {
      const wide = (from: number) =>
        merge(
          newGroup('wide'),
          makeEvent(
            { customFields: Object.fromEntries(Array.from({ length: 90 }, (_, n) => [`k${from + n}`, 'value'])) },
            { groupId: 'wide' },
          ),
        );
      const [one, other] = [wide(0), wide(50)];
      for (const state of [one, other]) {
        const outcomes = await groupSink(driven).put([state], 'join', never());
        expect(outcomes.get('wide')?.kind).toBe('delivered');
      }
      const inStep = await groupSink(driven).read([joined(one, other)], never());
      expect(inStep.get('wide')?.status).toBe('in-step');
    });
  });

  test('two writers at once, with events shuffled and twice, end as the events merged one by one', async () => {
    const chosen = await made('groups');
    const histories = fc
      .sample(delivered, 12)
      .map((pair, n) => pair.map((events) => events.map((event) => inGroup(event, `${event.subject}${n}`))));
    const expected = mergedGroups(histories.flatMap(([events = []]) => events));
    const work = async (events: readonly CanonicalEvent[]) => {
      const sink = await open(chosen.options);
      for (let at = 0; at < events.length; at += 15) {
        let waiting = events.slice(at, at + 15);
        while (waiting.length > 0) {
          const outcomes = await sink.deliver(waiting, never());
          waiting = waiting.filter(({ id }) => !['delivered', 'superseded'].includes(outcomes.get(id)?.kind ?? ''));
        }
      }
      await sink.close();
    };
    const shuffled = histories.flatMap(([, events = []]) => events);
    await Promise.all([work(shuffled), work(shuffled.toReversed())]);
    expect(await groups(chosen.table)).toEqual(expected);
    await chosen.dispose?.();
  });
});

describe.skipIf(skip !== '')(`the table of another's${skipped}`, () => {
  test('keeps its columns, its rows and what it says, whatever is written', async () => {
    const chosen = await made('groups');
    await sql(`ALTER TABLE "${chosen.table}" ADD note text DEFAULT 'new', ADD rank int`);
    const sink = await open(chosen.options);
    const [first, second] = [1, 2].map((n) => makeEvent({ name: `name ${n}` }, { groupId: 'g' })) as [
      CanonicalEvent,
      CanonicalEvent,
    ];
    await sink.deliver([first], never());
    await sql(`UPDATE "${chosen.table}" SET note = 'theirs', rank = 7`);
    await sink.deliver([second], never());
    expect(await sql(`SELECT name, note, rank FROM "${chosen.table}"`)).toEqual([
      { name: 'name 2', note: 'theirs', rank: 7 },
    ]);
    await sink.close();
    await chosen.dispose?.();
  });

  test('is known again, and noticed when it is another one', async () => {
    const chosen = place('groups');
    const host = testHost();
    const { sink, close } = await open(chosen.options, {}, host);
    const { identity } = (await sink.identify?.(undefined, never())) ?? {};
    expect(identity).toMatch(new RegExp(`^${chosen.table} \\d{10,}/\\d+/\\d+$`));
    expect(await sink.identify?.(identity, never())).toEqual({ identity });
    await sql(`DROP TABLE "${chosen.table}"`);
    const after = await sink.identify?.(identity, never());
    expect(after).toMatchObject({ lost: expect.stringContaining('dropped, replaced') });
    expect(after?.identity).not.toBe(identity);
    expect(await sink.identify?.(`other ${identity?.split(' ')[1]}`, never())).toMatchObject({ moved: true });
    expect(host.notes).toEqual(Array(2).fill(`created the table ${chosen.table} for groups`));
    await close();
    await chosen.dispose?.();
  });

  test('is made anew when it was dropped while deliveries went on, once', async () => {
    const chosen = await made('events');
    const host = testHost();
    const sinks = [await open(chosen.options, {}, host), await open(chosen.options, {}, host)];
    await sql(`DROP TABLE "${chosen.table}"`);
    const event = makeEvent({ name: 'name' });
    for (const sink of sinks) {
      const fault = await unreachableBy(() => sink.deliver([event], never()));
      expect(fault.code).toBe('destination-missing');
    }
    const again = await Promise.all(sinks.map((sink) => sink.deliver([event], never())));
    expect(again.map((outcomes) => outcomes.get(event.id)?.kind).sort()).toEqual(['delivered', 'superseded']);
    expect(host.notes).toHaveLength(1);
    for (const sink of sinks) await sink.close();
    await chosen.dispose?.();
  });

  test('is made by one of two bridges that begin at once; what else has its name is told in PostgreSQL’s words', async () => {
    const chosen = place('events');
    const { table } = chosen;
    const other = new pg.Client(url());
    await other.connect();
    await other.query(`BEGIN; CREATE TABLE "${table}" (id text PRIMARY KEY, event jsonb)`);
    const host = testHost();
    const opening = open(chosen.options, {}, host);
    const waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1";
    await expect.poll(() => sql(waits, [`CREATE TABLE%${table}%`])).toHaveLength(1);
    await other.query('COMMIT');
    await other.end();
    await (await opening).close();
    expect(host.notes).toEqual([]);
    await chosen.dispose?.();

    await sql(`CREATE TYPE "${table}" AS ENUM ('any')`);
    const fault = await unreachableBy(() => open(chosen.options));
    expect(fault.message).toMatch(/type ".*" already exists.*42710/);
    await sql(`DROP TYPE "${table}"`);
  });

  test('is not made where that is not wanted', async () => {
    const fault = await unreachableBy(() => open({ ...place('groups').options, createTable: false }));
    expect(fault).toMatchObject({ code: 'destination-missing', path: 'connectors.under-test.table' });
  });

  test('that holds groups of another app is refused, before the first row and at each', async () => {
    const chosen = await made('groups');
    const sink = await open(chosen.options);
    const event = makeEvent({ name: 'ours' }, { groupId: 'g' });
    await sink.deliver([event], never());
    await sql(`UPDATE "${chosen.table}" SET source = 'urn:tencent-chat:app:2', versions = '{}'`);
    for (const work of [() => sink.deliver([event], never()), () => open(chosen.options)]) {
      expect((await unreachableBy(work)).message).toContain('holds groups of urn:tencent-chat:app:2');
    }
    expect((await groups(chosen.table)).get('g')).toMatchObject({ name: 'ours', versions: {} });
    await sink.close();
    await chosen.dispose?.();
  });

  test('an event that is there already is superseded, and find tells where which ones lie', async () => {
    const chosen = place('events');
    await withSink(postgres, chosen, async (driven) => {
      const [one, other] = [makeEvent({ name: 'one' }, { id: 'one\0' }), makeEvent({ name: 'other' })];
      await driven.deliver([one], never());
      const outcomes = await driven.deliver([one, other, other], never());
      expect(outcomes.get(one.id)).toEqual({ kind: 'superseded', receipt: `${chosen.table}/${one.id}` });
      expect(outcomes.get(other.id)?.kind).toBe('delivered');
      if (driven.sink.holds !== 'events') return;
      const found = await driven.sink.find?.([one.id, 'nowhere', other.id], never());
      expect(found).toEqual(new Map([one.id, other.id].map((id) => [id, `${chosen.table}/${id}`])));
    });
  });
});

/** What the doctor finds, step by step. */
async function findings(options: Record<string, unknown>, shape?: ShapeSettings): Promise<string[]> {
  const found: string[] = [];
  const configured = { kind: postgres.kind, ...postgresOptions.parse(options), ...(shape && { shape }) };
  for await (const { step, state, says } of examine(configured, testHost(), never())) {
    found.push(`${step} ${state}: ${says}`);
  }
  return found;
}

describe.skipIf(skip !== '')(`what PostgreSQL refuses is told apart${skipped}`, () => {
  const refused = async (options: Record<string, unknown>) => {
    const { code, path, message } = await unreachableBy(() => open({ table: newTable(), ...options }));
    return `${code} ${path?.split('.').slice(2).join('.')}: ${message}`;
  };

  test('who asks, what for, and the way there', async () => {
    await sql('CREATE ROLE plain LOGIN');
    await sql('CREATE ROLE late LOGIN');
    await sql('ALTER ROLE late SET default_transaction_read_only = on');
    await sql('CREATE TABLE foreign_one (id int)');
    const { table: forbidden } = await made('groups');
    onTestFinished(() => void sql('DROP OWNED BY plain, late; DROP ROLE plain, late; DROP TABLE foreign_one'));
    expect(await refused({ url: url('nobody') })).toMatch(
      /^destination-credentials auth: .*role "nobody" does not exist.*28000/,
    );
    expect(await refused({ url: url('plain') })).toMatch(
      /^destination-credentials table: .*permission denied for schema public.*42501/,
    );
    expect(await refused({ url: url('late') })).toMatch(
      /^destination-misconfigured url: PostgreSQL is read-only: .*25006/,
    );
    expect(await refused({ url: url().replace(/[^/]+$/, 'nothing') })).toMatch(
      /^destination-misconfigured url: .*3D000/,
    );
    expect(await refused({ url: url(), table: 'nowhere.groups' })).toMatch(/^destination-misconfigured table: .*3F000/);
    expect(await refused({ url: url(), tls: true })).toMatch(/^destination-misconfigured tls: .*does not support SSL/);
    expect(await findings({ url: url('plain'), table: 'foreign_one' })).toEqual([
      expect.stringMatching(/^server well: reached as plain: PostgreSQL \d/),
      expect.stringMatching(/^table wrong: The table foreign_one lacks group_id \(text\), source/),
    ]);
    expect((await findings({ url: url('plain'), table: forbidden })).at(-1)).toMatch(
      /^destination wrong: .*permission denied for table/,
    );
    await sql(`GRANT SELECT ON "${forbidden}" TO plain`);
    expect((await findings({ url: url('plain'), table: forbidden })).at(-1)).toMatch(/^destination wrong: .*42501/);
    await sql(`GRANT INSERT, UPDATE ON "${forbidden}" TO plain`);
    expect((await findings({ url: url('plain'), table: forbidden })).at(-1)).toMatch(/^write permission well/);
  });

  test('the doctor says what is missing, and writes nothing', async () => {
    const table = newTable();
    expect(await findings({ url: url(), table })).toContain(`table note: ${table} does not exist: start creates it`);
    expect(await findings({ url: url(), table, createTable: false })).toContain(
      `table wrong: There is no table ${table}`,
    );
    expect(await sql('SELECT 1 FROM pg_class WHERE relname = $1', [table])).toEqual([]);
    const chosen = await made('events');
    await sql(`ALTER TABLE "${chosen.table}" ADD tenant int NOT NULL`);
    expect(await findings(chosen.options)).toContain(
      `table wrong: The table ${chosen.table} requires values of tenant, which a bridge does not write`,
    );
    await sql(`ALTER TABLE "${chosen.table}" DROP tenant, DROP CONSTRAINT "${chosen.table}_pkey"`);
    expect((await findings(chosen.options)).at(-1)).toMatch(/^destination wrong: PostgreSQL has no unique index/);
    await chosen.dispose?.();
  });

  test.each([
    ['groups', 'group_id'],
    ['events', 'id'],
  ] as const)(
    'a constraint of %s that is deferrable: what it must be, and not a busy server',
    async (content, column) => {
      const chosen = await made(content);
      const key = `"${chosen.table}_pkey"`;
      await sql(
        `ALTER TABLE "${chosen.table}" DROP CONSTRAINT ${key}, ADD CONSTRAINT ${key} PRIMARY KEY (${column}) DEFERRABLE`,
      );
      const sink = await open(chosen.options);
      const fault = await unreachableBy(() => sink.deliver([makeEvent({ name: 'name' })], never()));
      expect(fault).toMatchObject({
        code: 'destination-misconfigured',
        path: 'connectors.under-test.table',
        message: expect.stringContaining('55000'),
        suggestion: expect.stringContaining('NOT DEFERRABLE'),
      });
      expect((await findings(chosen.options)).at(-1)).toMatch(/^destination wrong: .*DEFERRABLE/i);
      await sink.close();
      await chosen.dispose?.();
    },
  );

  test('a table that is locked, a server that ends connections, and one that is silent', async () => {
    const chosen = await made('groups');
    const limit = (statementTimeoutMs: number) => open({ ...chosen.options, statementTimeoutMs });
    // What only the signal ends, what the limit ends, and what goes on after all that.
    const [patient, hasty, sink] = [await limit(600_000), await limit(300), await limit(30_000)];
    await sql("CREATE ROLE hasty LOGIN SUPERUSER; ALTER ROLE hasty SET lock_timeout = '100ms'");
    const byRole = await open({ ...chosen.options, url: url('hasty') });
    const event = makeEvent({ name: 'name' });
    await sql('BEGIN');
    await sql(`LOCK TABLE "${chosen.table}"`);
    for (const [one, path, advice] of [
      [hasty, 'statementTimeoutMs', 'raise statementTimeoutMs'],
      [byRole, 'table', 'raise lock_timeout of the role'],
    ] as const) {
      expect(await unreachableBy(() => one.deliver([event], never()))).toMatchObject({
        code: 'destination-overloaded',
        path: `connectors.under-test.${path}`,
        suggestion: expect.stringContaining(advice),
      });
    }
    const stop = new AbortController();
    const cut = patient.deliver([event], stop.signal);
    await expect.poll(() => sql('SELECT FROM pg_locks WHERE NOT granted')).toHaveLength(1);
    stop.abort(new Error('told to stop'));
    await expect(cut).rejects.toThrow('told to stop');
    await sql('COMMIT');
    for (const one of [patient, hasty, byRole]) await one.close();
    // The server may have gone on with what was cut off.
    const kinds = ['delivered', 'superseded'];
    expect(kinds).toContain((await sink.deliver([event], never())).get(event.id)?.kind);
    expect((await groups(chosen.table)).size).toBe(1);

    await sql('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [
      'group-sync-bridge under-test',
    ]);
    // Whether its end is known before the next statement is up to the network.
    await sink.deliver([event], never()).catch((thrown) => expect(thrown).toBeInstanceOf(Unreachable));
    expect((await sink.deliver([event], never())).get(event.id)?.kind).toBe('superseded');

    const { port } = await startSilence();
    const options = postgresOptions.parse({ url: `postgresql://user@127.0.0.1:${port}/any`, table: 'any' });
    const waiting = postgres.open(options, testHost(), AbortSignal.timeout(200));
    await expect(waiting).rejects.toThrow(/timeout/);
    await sink.close();
    await chosen.dispose?.();
  });

  test('a batch that takes longer than a statement may is delivered in parts', async () => {
    const chosen = await made('groups');
    await sql(
      'CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END $$',
    );
    await sql(`CREATE TRIGGER slow BEFORE INSERT ON "${chosen.table}" FOR EACH ROW EXECUTE FUNCTION slow()`);
    const sink = await open({ ...chosen.options, statementTimeoutMs: 300 });
    const batch = Array.from({ length: 8 }, (_, number) => makeEvent({ name: 'name' }, { groupId: `g${number}` }));
    expect((await unreachableBy(() => sink.deliver(batch, never()))).code).toBe('destination-overloaded');
    await expect
      .poll(() =>
        sink.deliver(batch, never()).then(
          ({ size }) => size,
          () => 0,
        ),
      )
      .toBe(8);
    expect((await groups(chosen.table)).size).toBe(8);
    await sink.close();
    await chosen.dispose?.();
    await sql('DROP FUNCTION slow');
  });

  test.each(['groups', 'events'] as const)(
    'a row of %s that a trigger leaves out is a dead letter',
    async (content) => {
      const chosen = await made(content);
      await sql('CREATE FUNCTION leaves_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$');
      const sink = await open(chosen.options);
      const [there, out] = ['there', 'out'].map((groupId) => makeEvent({ name: 'name' }, { groupId }));
      await sink.deliver([there as CanonicalEvent], never());
      await sql(`CREATE TRIGGER leaves_out BEFORE INSERT ON "${chosen.table}" FOR EACH ROW
      WHEN (NEW.group_id = 'out') EXECUTE FUNCTION leaves_out()`);
      const outcomes = await sink.deliver([there as CanonicalEvent, out as CanonicalEvent], never());
      expect([...outcomes.values()]).toMatchObject([
        { kind: 'superseded' },
        { kind: 'dead', fault: { code: 'event-refused' } },
      ]);
      await sink.close();
      await chosen.dispose?.();
      await sql('DROP FUNCTION leaves_out');
    },
  );

  test.each(['GS001', '42501', '57014'])(
    'a row that a trigger refuses as %s is a dead letter, its neighbours are delivered',
    async (code) => {
      const chosen = await made('groups');
      await sql(`CREATE FUNCTION picky() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF NEW.name = 'bad' THEN RAISE 'not this one' USING ERRCODE = '${code}'; END IF; RETURN NEW; END $$`);
      await sql(`CREATE TRIGGER picky BEFORE INSERT ON "${chosen.table}" FOR EACH ROW EXECUTE FUNCTION picky()`);
      const sink = await open(chosen.options);
      const batch = ['good', 'bad', 'fine'].map((name) => makeEvent({ name }));
      const outcomes = await sink.deliver(batch, never());
      expect(batch.map(({ id }) => outcomes.get(id))).toMatchObject([
        { kind: 'delivered' },
        { kind: 'dead', fault: { code: 'event-refused', message: expect.stringContaining(`not this one [${code}]`) } },
        { kind: 'delivered' },
      ]);
      await sink.close();
      await chosen.dispose?.();
      await sql('DROP FUNCTION picky');
    },
  );

  test.each([
    ['53400', 'destination-overloaded'],
    ['57P03', 'destination-unreachable'],
    ['08006', 'destination-unreachable'],
  ])('a trigger that closes the table for a while by %s has the lane wait', async (sqlState, code) => {
    const chosen = await made('groups');
    await sql(`CREATE FUNCTION closed() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE 'closed for now' USING ERRCODE = '${sqlState}'; END $$`);
    await sql(`CREATE TRIGGER closed BEFORE INSERT ON "${chosen.table}" FOR EACH ROW EXECUTE FUNCTION closed()`);
    const sink = await open(chosen.options);
    const event = makeEvent({ name: 'name' });
    expect((await unreachableBy(() => sink.deliver([event], never()))).code).toBe(code);
    await sql(`DROP TRIGGER closed ON "${chosen.table}"`);
    expect((await sink.deliver([event], never())).get(event.id)?.kind).toBe('delivered');
    await sink.close();
    await chosen.dispose?.();
    await sql('DROP FUNCTION closed');
  });

  test.each(['groups', 'events'] as const)(
    'a row of %s that a policy of the table refuses is a dead letter, its neighbours are delivered',
    async (content) => {
      const [chosen, role] = [await made(content), `tenant_${content}`];
      await sql(`CREATE ROLE ${role} LOGIN`);
      await sql(`GRANT SELECT, INSERT, UPDATE ON "${chosen.table}" TO ${role}`);
      await sql(`ALTER TABLE "${chosen.table}" ENABLE ROW LEVEL SECURITY`);
      await sql(`CREATE POLICY ours ON "${chosen.table}" USING (true) WITH CHECK (group_id <> 'theirs')`);
      const sink = await open({ ...chosen.options, url: url(role) });
      const [one, theirs, other] = ['one', 'theirs', 'other'].map((groupId) =>
        makeEvent({ name: 'name' }, { groupId }),
      );
      const batch = [one, theirs, other] as CanonicalEvent[];
      const outcomes = await sink.deliver(batch, never());
      expect(batch.map(({ id }) => outcomes.get(id))).toMatchObject([
        { kind: 'delivered' },
        { kind: 'dead', fault: { code: 'event-refused', message: expect.stringMatching(/policy.*\[42501]/) } },
        { kind: 'delivered' },
      ]);
      await sink.close();
      await chosen.dispose?.();
    },
  );

  test('the environment of psql is none of a connector', async () => {
    await sql('CREATE SCHEMA elsewhere');
    const { dispose: _, ...chosen } = place('groups');
    const environment = { PGOPTIONS: '-c search_path=elsewhere', PGSSLNEGOTIATION: 'direct', PGHOST: 'nowhere' };
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
    onTestFinished(() => void vi.unstubAllEnvs());
    await withSink(postgres, chosen, (sink) => sink.deliver([makeEvent({ name: 'name' })], never()));
    const [made] = await sql('SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = $2', [
      'public',
      chosen.table,
    ]);
    expect(made).toBeDefined();
  });

  test('a column to which the ids of two groups may be equal is refused', async () => {
    await sql(`CREATE COLLATION folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`);
    await sql('CREATE EXTENSION citext');
    const chosen = await made('groups');
    for (const type of ['text COLLATE folding', 'citext']) {
      await sql(`ALTER TABLE "${chosen.table}" ALTER group_id TYPE ${type}`);
      const fault = await unreachableBy(() => open(chosen.options));
      expect(fault).toMatchObject({ code: 'destination-misconfigured', message: expect.stringContaining(type) });
    }
    await chosen.dispose?.();
  });

  test('what only a new session heeds is mended with the next attempt', async () => {
    const chosen = await made('groups');
    await sql('ALTER ROLE postgres SET default_transaction_read_only = on');
    const sink = await open(chosen.options);
    await sql('ALTER ROLE postgres RESET default_transaction_read_only');
    const event = makeEvent({ name: 'name' });
    const fault = await unreachableBy(() => sink.deliver([event], never()));
    expect(fault.message).toContain('25006');
    expect((await sink.deliver([event], never())).get(event.id)?.kind).toBe('delivered');
    await sink.close();
    await chosen.dispose?.();
  });

  test('deadlocks and the like are tried again, and charge the event', async () => {
    const chosen = await made('groups');
    await sql(
      `CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE deadlock_detected; END $$`,
    );
    await sql(`CREATE TRIGGER conflict BEFORE INSERT ON "${chosen.table}" EXECUTE FUNCTION conflict()`);
    const sink = await open(chosen.options);
    const event = makeEvent({ name: 'name' });
    expect((await sink.deliver([event], never())).get(event.id)).toMatchObject({
      kind: 'retry',
      fault: { code: 'event-conflict', message: expect.stringContaining('40P01') },
    });
    await sink.close();
    await chosen.dispose?.();
    await sql('DROP FUNCTION conflict');
  });

  test('TLS and a password: what is wrong with them is said, and what is right is let in', async () => {
    const authority = await createAuthority('of this test');
    const stranger = await createAuthority('of nobody');
    const { certificate, key } = await authority.issue({ names: ['localhost', 'db.example'] });
    const pem = createPemFolder();
    onTestFinished(pem.remove);
    const data = join(server().folder, 'data');
    writeFileSync(join(data, 'server.crt'), certificate);
    writeFileSync(join(data, 'server.key'), key);
    chmodSync(join(data, 'server.key'), 0o600);
    const { uid, gid } = statSync(data);
    chownSync(join(data, 'server.key'), uid, gid);
    const hba = readFileSync(join(data, 'pg_hba.conf'), 'utf8');
    writeFileSync(
      join(data, 'pg_hba.conf'),
      `hostssl all careful all scram-sha-256\nhost all careful all reject\n${hba}`,
    );
    await sql("CREATE ROLE careful LOGIN SUPERUSER PASSWORD 'pass word'");
    await sql('ALTER SYSTEM SET ssl = on');
    await sql('SELECT pg_reload_conf()');
    await expect.poll(async () => (await sql('SHOW ssl'))[0]).toEqual({ ssl: 'on' });

    const at = { url: url('', 'localhost').replace('//@', '//'), table: newTable() };
    const auth = { username: 'careful', password: 'pass word' };
    const tls = { caFile: pem.file(authority.certificate) };
    await (await open({ ...at, auth, tls })).close();
    const fingerprint = new X509Certificate(certificate).fingerprint256;
    await (await open({ ...at, auth, tls: { caFingerprint: fingerprint } })).close();
    await (
      await open({
        ...at,
        auth,
        url: at.url.replace('localhost', '127.0.0.1'),
        tls: { ...tls, serverName: 'db.example' },
      })
    ).close();
    const no = async (more: object) => refused({ ...at, auth, tls, ...more });
    expect(await no({ tls: { caFile: pem.file(stranger.certificate) } })).toMatch(
      /^destination-credentials tls.caFile/,
    );
    expect(await no({ tls: { ...tls, serverName: 'other.example' } })).toMatch(
      /^destination-credentials tls.serverName/,
    );
    expect(await no({ auth: { ...auth, password: 'wrong' } })).toMatch(/^destination-credentials auth: .*28P01/);
    expect(await no({ auth: { username: 'careful' } })).toMatch(
      /^destination-credentials auth: .*rejects the password/,
    );
    expect(await no({ tls: false })).toMatch(/^destination-credentials auth: .*pg_hba/);
  });
});

test('without the driver the sentence says how to get it', async () => {
  const fault = await unreachableBy(() => loadDriver('under-test', () => import('no such package' as string)));
  expect(fault).toMatchObject({ code: 'destination-misconfigured', suggestion: 'npm i pg' });
});

test('the options say what is wrong with a URL, a table and a user', () => {
  const complaints = (options: object) =>
    postgresOptions
      .safeParse({ url: 'postgres://u@h/d', table: 't', ...options })
      .error?.issues.map(({ path }) => path.join('.')) ?? [];
  expect(complaints({})).toEqual([]);
  expect(complaints({ url: 'postgresql://u:p%40@[::1]:5433/my%20db', table: 'My.Table' })).toEqual([]);
  for (const url of [
    'h:5432',
    'http://u@h/d',
    'postgres://u@h',
    'postgres://u@h/d?sslmode=require',
    'postgres://u@h/%',
  ]) {
    expect(complaints({ url })).toContain('url');
  }
  expect(() => postgresOptions.parse({ url: 'postgres://u:a#b@h/d', table: 't' })).toThrow(/or percent-encode it/);
  for (const table of ['', 'a.b.c', 'a b', 'x'.repeat(64), '"t"', '.t'])
    expect(complaints({ table })).toEqual(['table']);
  expect(complaints({ auth: { username: 'u' } })).toEqual(['auth']);
  expect(complaints({ url: 'postgres://h/d' })).toEqual(['auth']);
});

describe.skipIf(skip !== '')(`a table that was there before, with other names${skipped}`, () => {
  const settings = shapeSettings.parse({
    fields: { groupId: 'room', name: 'group_name', notification: 'notice', groupType: 'kind' },
    versions: '_sync',
  });
  const host = { ...testHost(), shape: compileShape(settings, 'groups') };

  test('two bridges at once keep it in step, and leave the columns and rows of others alone', async () => {
    const table = newTable();
    onTestFinished(async () => void (await sql(`DROP TABLE "${table}"`)));
    await sql(`CREATE TABLE "${table}" (room varchar(80) UNIQUE NOT NULL, group_name varchar(400), notice text,
      members int NOT NULL DEFAULT 7, note text)`);
    await sql(
      `INSERT INTO "${table}" VALUES ('g0', 'of before', NULL, 3, 'kept'), ('theirs', 'no group', NULL, 1, NULL)`,
    );
    const options = { url: url(), table };
    const [one, other] = await Promise.all([open(options, {}, host), open(options, {}, host)]);
    const events = Array.from({ length: 60 }, (_, n) =>
      makeEvent(
        n % 2 === 0 ? { name: `name ${n}` } : { notification: `notice ${n}`, customFields: { level: `${n}` } },
        { groupId: `g${n % 5}` },
      ),
    );
    const shuffled = events.toSorted((a, b) => (a.id < b.id ? -1 : 1));
    await Promise.all([
      one.deliver(shuffled.slice(0, 40), never()),
      other.deliver(shuffled.slice(20).toReversed(), never()),
    ]);
    const expected = mergedGroups(events);
    type Row = { room: string; group_name: string; notice: string; members: number; note: string; _sync: unknown };
    const rows = new Map((await sql<Row>(`SELECT * FROM "${table}"`)).map((row) => [row.room, row]));
    for (const [groupId, { name, notification, versions, customFields }] of expected) {
      const theirs = groupId === 'g0' ? { members: 3, note: 'kept' } : { members: 7, note: null };
      const ours = { group_name: name, notice: notification, _sync: versions, custom_fields: customFields };
      expect(rows.get(groupId)).toMatchObject({ ...ours, ...theirs });
    }
    expect(rows.get('theirs')).toMatchObject({ group_name: 'no group', members: 1 });
    expect(rows.size).toBe(6);
    const copies = await groupSink(one).read([...expected.values()], never());
    expect([...copies.values()].map(({ status }) => status)).toEqual([...expected.values()].map(() => 'in-step'));
    await Promise.all([one.close(), other.close()]);
  });

  test('the doctor says what the start adds, and what would never be in step; a timestamp without a zone is UTC', async () => {
    const table = newTable();
    onTestFinished(async () => void (await sql(`DROP TABLE "${table}"; ALTER ROLE postgres RESET timezone`)));
    await sql("ALTER ROLE postgres SET timezone = 'Asia/Tokyo'");
    await sql(`CREATE TABLE "${table}" (room text PRIMARY KEY, group_name text, updated_at timestamp)`);
    const options = { url: url(), table };
    expect((await findings(options, settings)).at(-1)).toMatch(
      new RegExp(`^table note: start adds to ${table}: source \\(text\\), .*_sync \\(jsonb\\)$`),
    );
    const sink = await open(options, {}, host);
    const event = makeEvent({ name: 'one' });
    await sink.deliver([event], never());
    const copies = await groupSink(sink).read([...mergedGroups([event]).values()], never());
    expect([...copies.values()]).toMatchObject([{ status: 'in-step' }]);
    await sink.close();
    expect((await findings(options, settings)).at(-1)).toMatch(/^write permission well/);
    for (const [column, type] of Object.entries({ updated_at: 'timestamptz(0)', group_name: 'char(9)' })) {
      await sql(`ALTER TABLE "${table}" ALTER "${column}" TYPE ${type}`);
      expect((await findings(options, settings)).at(-1)).toMatch(`destination wrong: The column ${column} of ${table}`);
      expect((await unreachableBy(() => open(options, {}, host))).message).toContain(column);
      await sql(`ALTER TABLE "${table}" ALTER "${column}" TYPE ${column === 'updated_at' ? 'timestamptz' : 'text'}`);
    }
  });

  test('what columns cannot give is refused, by its setting', () => {
    const asked = {
      fields: { name: 'a.b', 'customFields.x': 'x' },
      omit: ['source'],
      constants: { a: 1 },
      times: 'iso',
    };
    const found = postgres.shapeProblems?.(
      postgresOptions.parse({ url: 'postgresql://u@h/d', table: 't' }),
      shapeSettings.parse(asked),
    );
    expect(found?.map(({ path }) => path.join('.'))).toEqual([
      ...['fields.name', 'fields.customFields.x', 'omit.0', 'constants', 'times'],
    ]);
  });
});
