import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { createCopies } from '../../src/delivery/copies.ts';
import type { ReadBack } from '../../src/delivery/read-back.ts';
import { startDelivery } from '../../src/delivery/thread/host.ts';
import { openJournal } from '../../src/journal/append.ts';
import { openDatabase } from '../../src/journal/database.ts';
import type { JournalReport } from '../../src/journal/deliveries.ts';
import { createGroupReader } from '../../src/journal/groups.ts';
import { createHistoryReader } from '../../src/journal/history.ts';
import { createDeliveryReader } from '../../src/journal/reads.ts';
import { systemClock } from '../../src/model/clock.ts';
import type { Fault } from '../../src/model/fault.ts';
import { differences, type Group, newGroup, repair, type Version } from '../../src/model/group.ts';
import { createSignals, type LaneState } from '../../src/model/signal.ts';
import type { GroupCopy } from '../../src/model/standing.ts';
import { getDocument } from '../servers/readback.ts';
import { type BridgeHome, type BridgeProcess, bridgeHome, startBridgeProcess } from '../support/bridge.process.ts';
import { body, COMMAND, ODD_GROUP_IDS, search } from '../support/callbacks.ts';
import { madeEvent } from '../support/events.ts';

/*
 * The oracle is what lies in the real destinations, which the tests change behind the bridge's back.
 */

const elasticsearchUrl = inject('elasticsearchUrl');
const brokers = inject('kafkaBrokers');
const skip = elasticsearchUrl === '' || brokers === '' ? ' (skipped: no Kafka or no Elasticsearch in this run)' : '';

let moment = 1_700_000_000_000;
async function post(bridge: BridgeProcess, GroupId: string, changes: Record<string, unknown>): Promise<void> {
  const { CallbackCommand = COMMAND } = changes as { CallbackCommand?: string };
  const callback = {
    search: search({ CallbackCommand }),
    body: body({ Name: undefined, ...changes, GroupId, EventTime: ++moment }),
  };
  expect((await bridge.post(callback)).status).toBe(200);
}

async function get(bridge: BridgeProcess, path: string, query: Record<string, string | number> = {}) {
  const values = Object.entries(query).map(([name, value]): [string, string] => [name, String(value)]);
  const response = await fetch(`${bridge.adminUrl}${path}?${new URLSearchParams(values)}`);
  return { status: response.status, json: JSON.parse(await response.text()) };
}

/** By connector. */
async function copies(bridge: BridgeProcess, groupId: string): Promise<Record<string, GroupCopy>> {
  const { json } = await get(bridge, '/api/group', { id: groupId });
  return Object.fromEntries((json.copies as GroupCopy[]).map((copy) => [copy.connector, copy]));
}
const standings = async (bridge: BridgeProcess, groupId: string): Promise<Record<string, string>> =>
  Object.fromEntries(Object.entries(await copies(bridge, groupId)).map(([name, { standing }]) => [name, standing]));

async function operate(bridge: BridgeProcess, path: string): Promise<void> {
  const init = { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } };
  expect((await fetch(`${bridge.adminUrl}/api/connectors/${path}`, init)).status).toBe(200);
}

async function putDocument(index: string, id: string, document: unknown): Promise<void> {
  const response = await fetch(`${elasticsearchUrl}/${index}/_doc/${encodeURIComponent(id)}`, {
    method: document === undefined ? 'DELETE' : 'PUT',
    ...(document !== undefined && { body: JSON.stringify(document), headers: { 'content-type': 'application/json' } }),
  });
  expect(response.ok).toBe(true);
}

const name = () => `test-${randomUUID()}`;
const index = (more: Record<string, unknown> = {}) => ({
  kind: 'elasticsearch',
  nodes: elasticsearchUrl,
  index: name(),
  createIndex: { replicas: 0 },
  ...more,
});
const topic = (more: Record<string, unknown> = {}) => ({ kind: 'kafka', brokers, topic: name(), ...more });

async function running<T>(home: BridgeHome, work: (bridge: BridgeProcess) => Promise<T>): Promise<T> {
  const bridge = await startBridgeProcess(home);
  const result = await work(bridge);
  await bridge.end('SIGTERM');
  return result;
}

describe.skipIf(skip !== '')(`how the copies of a group stand${skip}`, () => {
  test('in step, each with the place where it lies, whatever the id, also after a restart', async () => {
    const [events, groups] = [topic(), topic({ content: 'groups' })];
    const [documents, history] = [index(), index({ content: 'events' })];
    const home = bridgeHome((folder) => ({
      events,
      groups,
      documents,
      history,
      file: { kind: 'file', path: join(folder, 'f') },
    }));
    const [first = ''] = ODD_GROUP_IDS;
    const before = await running(home, async (bridge) => {
      for (const groupId of ODD_GROUP_IDS) await post(bridge, groupId, { Name: groupId });
      await post(bridge, first, { Name: 'again', Notification: '' });
      for (const groupId of ODD_GROUP_IDS) {
        await expect
          .poll(() => standings(bridge, groupId))
          .toEqual({ events: 'in-step', groups: 'in-step', documents: 'in-step', history: 'in-step', file: 'in-step' });
      }
      const { json } = await get(bridge, '/api/group', { id: first });
      const [latest, earlier] = json.events;
      expect(json.group).toMatchObject({ groupId: first, name: 'again', notification: '' });
      expect([latest.event.data.changed, earlier.event.data.changed]).toEqual([
        { name: 'again', notification: '' },
        { name: first },
      ]);
      const found = await copies(bridge, first);
      expect(found).toMatchObject({
        events: { kind: 'kafka', where: expect.stringMatching(new RegExp(`^${events.topic}/\\d@\\d+$`)) },
        groups: { kind: 'kafka', where: expect.stringMatching(new RegExp(`^${groups.topic}/\\d@\\d+$`)) },
        documents: { kind: 'elasticsearch', where: `${documents.index}/_doc/${first}` },
        history: { kind: 'elasticsearch', where: `${history.index}/${latest.event.id}` },
        file: { kind: 'file', where: expect.stringMatching(/f:\d+$/) },
      });
      expect(Object.values(found).some((copy) => 'fault' in copy || 'differs' in copy)).toBe(false);
      return found;
    });
    await running(home, (bridge) => expect.poll(() => copies(bridge, first)).toEqual(before));
    home.remove();
  });

  test('a document that was changed by hand shows the fields, one that was removed is missing', async () => {
    const documents = index();
    const home = bridgeHome(() => ({ documents }));
    await running(home, async (bridge) => {
      await post(bridge, 'g', {
        Name: 'right',
        Introduction: 'right',
        UserDefinedDataList: [{ Key: 'k', Value: 'right' }],
      });
      await expect.poll(() => standings(bridge, 'g')).toEqual({ documents: 'in-step' });
      const right = (await getDocument(elasticsearchUrl, documents.index, 'g')) ?? {};
      const { introduction, ...without } = right;
      await putDocument(documents.index, 'g', {
        ...without,
        name: 'wrong',
        customFields: { k: 'wrong', more: '' },
        notification: 'that no event has told of',
        theirs: 1,
      });
      expect((await copies(bridge, 'g')).documents).toEqual({
        connector: 'documents',
        kind: 'elasticsearch',
        standing: 'differs',
        where: `${documents.index}/_doc/g`,
        differs: ['name', 'introduction', 'customFields.k'],
      });
      // Versions count where values differ; fields of others never do.
      await putDocument(documents.index, 'g', { ...right, versions: undefined, theirs: 1 });
      expect(await standings(bridge, 'g')).toEqual({ documents: 'in-step' });
      await putDocument(documents.index, 'g', undefined);
      expect((await copies(bridge, 'g')).documents).toMatchObject({
        standing: 'missing',
        where: `${documents.index}/_doc/g`,
      });
      // Reading it back wrote nothing.
      expect(await getDocument(elasticsearchUrl, documents.index, 'g')).toBeUndefined();
      const gone = await fetch(`${elasticsearchUrl}/${documents.index}`, { method: 'DELETE' });
      expect(gone.ok).toBe(true);
      expect(await standings(bridge, 'g')).toEqual({ documents: 'missing' });
      expect((await fetch(`${elasticsearchUrl}/${documents.index}`)).status).toBe(404);
    });
    home.remove();
  });

  test('a destroyed group is marked, or must be gone', async () => {
    const [mark, remove] = [index(), index({ onDestroyed: 'delete' })];
    const home = bridgeHome(() => ({ mark, remove }));
    await running(home, async (bridge) => {
      await post(bridge, 'g', { Name: 'a' });
      await expect.poll(() => standings(bridge, 'g')).toEqual({ mark: 'in-step', remove: 'in-step' });
      const before = await getDocument(elasticsearchUrl, remove.index, 'g');
      await post(bridge, 'g', {
        CallbackCommand: 'Group.CallbackAfterGroupDestroyed',
        Owner_Account: 'o',
        Name: 'a',
        MemberList: [],
      });
      await expect.poll(() => standings(bridge, 'g')).toEqual({ mark: 'in-step', remove: 'in-step' });
      expect(await getDocument(elasticsearchUrl, remove.index, 'g')).toBeUndefined();
      const marked = await getDocument(elasticsearchUrl, mark.index, 'g');
      await putDocument(mark.index, 'g', { ...marked, destroyed: false });
      await putDocument(remove.index, 'g', marked);
      expect(await copies(bridge, 'g')).toMatchObject({
        mark: { standing: 'differs', differs: ['destroyed'] },
        remove: { standing: 'differs', differs: ['destroyed'] },
      });
      await putDocument(remove.index, 'g', before);
      expect((await copies(bridge, 'g')).remove?.differs).toContain('destroyed');
    });
    home.remove();
  });

  test('paused: behind, and what lies there is still told', async () => {
    const documents = index();
    const home = bridgeHome(() => ({ documents, events: topic() }));
    await running(home, async (bridge) => {
      await post(bridge, 'g', { Name: 'a' });
      await expect.poll(() => standings(bridge, 'g')).toEqual({ documents: 'in-step', events: 'in-step' });
      for (const connector of ['documents', 'events']) await operate(bridge, `${connector}/pause`);
      await post(bridge, 'g', { Name: 'b' });
      expect(await copies(bridge, 'g')).toMatchObject({
        documents: { standing: 'behind', differs: ['name', 'updatedAt'], where: `${documents.index}/_doc/g` },
        events: { standing: 'behind', where: expect.stringMatching(/@\d+$/), fault: { suggestion: 'resume it' } },
      });
      await operate(bridge, 'documents/resume');
      await expect.poll(() => standings(bridge, 'g')).toEqual({ documents: 'in-step', events: 'behind' });
    });
    // Paused since the start, it was never opened: not even what lies there can be told.
    await running(home, async (bridge) => {
      await expect
        .poll(async () => (await copies(bridge, 'g')).events)
        .toMatchObject({ standing: 'behind', fault: { code: 'copy-unknown', suggestion: 'resume it' } });
    });
    home.remove();
  });

  test('dead: with the reason, until the copy is in step all the same', async () => {
    const strict = name();
    const keyword = { type: 'keyword' };
    const fields = ['groupId', 'groupType', 'name', 'lastOperator', 'updatedAt', 'destroyed'];
    const properties = Object.fromEntries(fields.map((field) => [field, keyword]));
    const created = await fetch(`${elasticsearchUrl}/${strict}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        settings: { number_of_replicas: 0 },
        mappings: {
          dynamic: 'strict',
          properties: {
            ...properties,
            customFields: { type: 'flattened' },
            versions: { type: 'object', enabled: false },
          },
        },
      }),
    });
    expect(created.ok).toBe(true);
    const home = bridgeHome(() => ({ documents: index({ index: strict }) }));
    await running(home, async (bridge) => {
      await post(bridge, 'g', { Name: 'a' });
      await expect.poll(() => standings(bridge, 'g')).toEqual({ documents: 'in-step' });
      await post(bridge, 'g', { FaceUrl: 'http://refused' });
      const dead = {
        standing: 'dead',
        differs: ['faceUrl', 'updatedAt'],
        fault: { code: 'event-refused', message: expect.stringMatching(/faceUrl/) },
      };
      await expect.poll(async () => (await copies(bridge, 'g')).documents).toMatchObject(dead);
      // Later events pass it; the field that it brought is still missed, and it still says why.
      await post(bridge, 'g', { Name: 'b' });
      await expect
        .poll(async () => (await copies(bridge, 'g')).documents)
        .toMatchObject({ ...dead, differs: ['faceUrl'] });
      // What it brought has come by hand: the copy is in step, whatever became of the event.
      await fetch(`${elasticsearchUrl}/${strict}/_mapping`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ properties: { faceUrl: keyword } }),
      });
      const document = await getDocument(elasticsearchUrl, strict, 'g');
      await putDocument(strict, 'g', { ...document, faceUrl: 'http://refused' });
      expect(await standings(bridge, 'g')).toEqual({ documents: 'in-step' });
    });
    home.remove();
  });

  test('filtered: a group that is not for a connector, and fields whose change was not', async () => {
    const named = index({ filter: { changedFields: ['name'] } });
    const others = topic({ filter: { groupIds: ['other*'] } });
    const home = bridgeHome(() => ({ named, others }));
    await running(home, async (bridge) => {
      await post(bridge, 'quiet', { Introduction: 'only this' });
      await expect.poll(() => standings(bridge, 'quiet')).toEqual({ named: 'filtered', others: 'filtered' });
      await post(bridge, 'g', { Name: 'a' });
      await post(bridge, 'g', { Introduction: 'not for it' });
      await expect.poll(() => standings(bridge, 'g')).toEqual({ named: 'in-step', others: 'filtered' });
      const document = await getDocument(elasticsearchUrl, named.index, 'g');
      expect(document).not.toHaveProperty('introduction');
      await putDocument(named.index, 'g', { ...document, name: 'tampered' });
      expect((await copies(bridge, 'g')).named).toMatchObject({ standing: 'differs', differs: ['name'] });
    });
    home.remove();
  });

  test('a destination that cannot be had: unknown where it would be read back, else behind; with the reason', async () => {
    const documents = index();
    const home = bridgeHome(() => ({ documents, unreachable: topic({ brokers: '127.0.0.1:1' }) }));
    await running(home, async (bridge) => {
      await post(bridge, 'g', { Name: 'a' });
      await expect.poll(() => standings(bridge, 'g')).toEqual({ documents: 'in-step', unreachable: 'behind' });
      await expect
        .poll(async () => (await copies(bridge, 'g')).unreachable?.fault)
        .toMatchObject({ code: 'destination-unreachable', path: 'connectors.unreachable.brokers' });
      await fetch(`${elasticsearchUrl}/${documents.index}/_close`, { method: 'POST' });
      expect((await copies(bridge, 'g')).documents).toMatchObject({
        standing: 'unknown',
        fault: { code: 'destination-misconfigured', message: expect.stringMatching(/clos/) },
      });
    });
    home.remove();
  });
});

describe('from the rows of the journal', () => {
  /** Real rows of a journal in memory; the lanes answer as the test says. */
  async function made(answers: Record<string, ReadBack>) {
    const folder = mkdtempSync(join(tmpdir(), 'copies-'));
    const database = openDatabase(join(folder, 'journal.db'));
    const journal = openJournal(database, systemClock, createSignals());
    onTestFinished(() => {
      journal.close();
      rmSync(folder, { recursive: true });
    });
    for (let n = 1; n <= 4; n++) await journal.record(madeEvent(n, { name: `${n}` }, n === 2 ? 'other' : 'g'));
    const settle = async (connector: string, upTo: number, rows: Partial<JournalReport> = {}) => {
      journal.settle({ connector, upTo, waiting: [], dead: [], released: [], ...rows });
      await journal.setPaused(connector, false);
    };
    const asked: string[] = [];
    const states: Record<string, LaneState> = {};
    const copies = createCopies({
      connectors: () => Object.keys(answers),
      holder: (connector) => ({ kind: 'k', filter: {}, readsBack: connector.startsWith('read') }),
      deliveries: createDeliveryReader(database.connection),
      groups: createGroupReader(database.connection, journal.buffered),
      history: createHistoryReader(database.connection, journal),
      health: (connector) => ({ state: states[connector] ?? { kind: 'running' } }),
      delivery: {
        readBack: async (connector) => {
          asked.push(connector);
          return answers[connector] ?? {};
        },
      },
    });
    const standing = async (groupId = 'g') =>
      Object.fromEntries((await copies(groupId, new AbortController().signal)).map((copy) => [copy.connector, copy]));
    return { database, journal, settle, asked, answers, states, standing };
  }
  const fault = (message: string): Fault => ({ code: 'event-refused', message });
  const waits = (seq: number, message: string) => ({ seq, attempts: 1, dueAt: 0, fault: fault(message) });
  const inStep: ReadBack = { copy: { status: 'in-step', where: 'here' } };

  test('waiting: the first event that holds the others back says why', async () => {
    const { settle, standing } = await made({ c: {}, read: inStep });
    for (const connector of ['c', 'read']) {
      await settle(connector, 4, { waiting: [waits(3, 'first'), waits(4, 'behind it')] });
    }
    expect(await standing()).toMatchObject({
      c: { standing: 'waiting', fault: { message: 'first' } },
      read: { standing: 'waiting', fault: { message: 'first' }, where: 'here' },
    });
    expect(await standing('other')).toMatchObject({ c: { standing: 'in-step' }, read: { standing: 'in-step' } });
    // The second is not taken yet.
    await settle('c', 1, { rewind: true });
    await settle('c', 3, { waiting: [waits(3, 'first')] });
    expect(await standing()).toMatchObject({ c: { standing: 'waiting', fault: { message: 'first' } } });
  });

  test('dead: an event is, unless what was read back has overcome it', async () => {
    const dead = (seq: number) => ({ dead: [{ seq, attempts: 1, fault: fault(`dead ${seq}`) }] });
    const { settle, standing } = await made({ c: {}, read: inStep, reads: { fault: fault('down') } });
    for (const connector of ['c', 'read', 'reads']) await settle(connector, 4, dead(3));
    expect(await standing()).toMatchObject({
      c: { standing: 'dead', fault: { message: 'dead 3' } },
      read: { standing: 'in-step' },
      reads: { standing: 'dead', fault: { message: 'dead 3' } },
    });
    for (const connector of ['c', 'read']) await settle(connector, 4, dead(4));
    expect(await standing()).toMatchObject({
      c: { standing: 'dead', fault: { message: 'dead 4' } },
      read: { standing: 'in-step' },
    });
  });

  test('a lane that cannot answer: unknown only where reading back would tell', async () => {
    const { settle, standing, asked, states } = await made({ c: {}, read: { fault: fault('down') } });
    states.c = { kind: 'waiting', fault: fault('down'), since: 0, retryAt: 0 };
    await settle('c', 3, { receipts: [{ from: 1, upTo: 3, at: 1, told: JSON.stringify([[3, 'r']]) }] });
    expect(await standing()).toMatchObject({
      c: { standing: 'behind', fault: { message: 'down' }, where: 'r' },
      read: { standing: 'behind', fault: { message: 'down' } },
    });
    const receipts = [{ from: 4, upTo: 4, at: 2, told: JSON.stringify([[4, 'newer']]) }];
    for (const connector of ['c', 'read']) await settle(connector, 4, { receipts });
    expect(await standing()).toEqual({
      c: { connector: 'c', kind: 'k', standing: 'in-step', where: 'newer' },
      read: { connector: 'read', kind: 'k', standing: 'unknown', fault: fault('down') },
    });
    expect(await standing('unknown')).toEqual({});
    expect(asked).toEqual(['read', 'read']);
  });

  test('connectors come and go', async () => {
    const { settle, standing, answers } = await made({ c: {} });
    await settle('c', 4);
    answers.d = {};
    expect(await standing()).toMatchObject({ c: { standing: 'in-step' }, d: { standing: 'behind' } });
    delete answers.c;
    expect(Object.keys(await standing())).toEqual(['d']);
  });

  test('a group of before events were linked: by the events that its state was merged from', async () => {
    const { database, settle, standing } = await made({ c: {} });
    database.connection.exec('UPDATE groups SET last_seq = NULL; UPDATE events SET previous = NULL');
    await settle('c', 3);
    expect(await standing()).toMatchObject({ c: { standing: 'behind' } });
    await settle('c', 4);
    expect(await standing()).toMatchObject({ c: { standing: 'in-step' } });
  });
});

test('delivery whose thread is gone answers that it is', async () => {
  const signals = createSignals();
  const crashed = new Promise<Fault>((resolve) => signals.on('relay.crashed', (crash) => resolve(crash.fault)));
  const delivery = startDelivery(
    { journalFile: join(tmpdir(), name(), 'none'), source: 'none', connectors: {} },
    { settle() {}, keepCopy() {} },
    signals,
  );
  const asked = delivery.readBack('c', newGroup('g'), new AbortController().signal);
  await crashed;
  const answer = { fault: { code: 'copy-unknown', message: expect.stringMatching(/delivery is not running: .*open/) } };
  expect(await asked).toMatchObject(answer);
  expect(await delivery.readBack('c', newGroup('g'), new AbortController().signal)).toMatchObject(answer);
  await delivery.stop(0);
});

test('pruned events: what is left still tells whose the group was not, and that all of it was delivered', async () => {
  const home = bridgeHome(
    (folder) => ({
      all: { kind: 'file', path: join(folder, 'all') },
      others: { kind: 'file', path: join(folder, 'others'), filter: { groupIds: ['other*'] } },
    }),
    { journal: { keepDelivered: '1s' } },
  );
  await running(home, async (bridge) => {
    await post(bridge, 'g', { Name: 'a' });
    await expect.poll(async () => (await get(bridge, '/api/events')).json.events).toEqual([]);
    expect(await standings(bridge, 'g')).toEqual({ all: 'in-step', others: 'filtered' });
    expect((await get(bridge, '/api/group', { id: 'g' })).json).toMatchObject({ group: { name: 'a' }, events: [] });
  });
  home.remove();
});

test('events, groups and one group by the admin API: pages, odd ids, what is wrong with a question', async () => {
  const home = bridgeHome((folder) => ({ file: { kind: 'file', path: join(folder, 'f') } }));
  await running(home, async (bridge) => {
    for (const groupId of ODD_GROUP_IDS) {
      await post(bridge, groupId, { Name: `first of ${groupId}` });
      await post(bridge, groupId, { Name: `second of ${groupId}` });
    }
    const seqs = async (query: Record<string, string | number>) =>
      (await get(bridge, '/api/events', query)).json.events.map(({ seq }: { seq: number }) => seq);
    expect(await seqs({ limit: 3 })).toEqual([18, 17, 16]);
    expect(await seqs({ limit: 3, before: 16 })).toEqual([15, 14, 13]);
    expect(await seqs({})).toHaveLength(18);
    for (const [n, group] of ODD_GROUP_IDS.entries()) {
      expect(await seqs({ group })).toEqual([2 * n + 2, 2 * n + 1]);
      expect(await seqs({ group, limit: 1, before: 2 * n + 2 })).toEqual([2 * n + 1]);
      const { json } = await get(bridge, '/api/groups', { search: group });
      expect(json).toEqual({
        groups: [expect.objectContaining({ groupId: group })],
        complete: true,
        total: expect.any(Number),
      });
      const one = await get(bridge, '/api/group', { id: group, limit: 1 });
      expect(one.json).toMatchObject({ group: { name: `second of ${group}` }, events: [{ seq: 2 * n + 2 }] });
    }
    expect((await get(bridge, '/api/groups', { search: 'SECOND OF', limit: 4 })).json).toMatchObject({
      complete: false,
    });
    expect((await get(bridge, '/api/groups')).json.groups).toHaveLength(9);
    expect(await seqs({ group: 'unknown' })).toEqual([]);
    expect(await get(bridge, '/api/group', { id: 'unknown' })).toMatchObject({
      status: 404,
      json: { fault: { code: 'usage' } },
    });
    const wrong: [string, Record<string, string | number>][] = [
      ['/api/events', { limit: 0 }],
      ['/api/events', { limit: 1_001 }],
      ['/api/events', { before: 'x' }],
      ['/api/events', { before: -1 }],
      ['/api/events', { group: '' }],
      ['/api/groups', { limit: 'many' }],
      ['/api/groups', { search: 'x'.repeat(513) }],
      ['/api/group', {}],
      ['/api/group', { id: '' }],
    ];
    for (const [path, query] of wrong) {
      expect(await get(bridge, path, query)).toMatchObject({ status: 400, json: { fault: { code: 'usage' } } });
    }
  });
  home.remove();
});

describe('the fields in which a copy differs', () => {
  const version = (at: number): Version => [at, `e${at}`];
  const state: Group = {
    ...newGroup('g'),
    name: 'a',
    customFields: { k: '1' },
    versions: { name: version(5), 'customFields.k': version(5), destroyed: version(5) },
  };

  test('by value, whatever the versions of equal ones', () => {
    expect(differences(state, state)).toEqual([]);
    expect(differences({ ...state, versions: {} }, state)).toEqual([]);
    expect(differences({ ...state, name: 'b' }, state)).toEqual(['name']);
    expect(differences({ ...state, name: 'b', versions: {} }, state)).toEqual(['name']);
    expect(differences(newGroup('g'), state)).toEqual(['name', 'customFields.k']);
    expect(differences({ ...state, destroyed: true }, state)).toEqual(['destroyed']);
    expect(differences({ ...state, introduction: null } as unknown as Group, state)).toEqual([]);
  });

  test('what no event has told of is nobody’s to write, until a creation begins the group anew', () => {
    const untold = { ...state, owner: 'x', customFields: { k: '1', more: '' } };
    expect(differences(untold, state)).toEqual([]);
    const born = { ...state, versions: { ...state.versions, created: version(5) } };
    expect(differences(untold, born)).toEqual(['owner', 'customFields.more']);
    const bornThere = { ...untold, versions: { ...state.versions, created: version(5) } };
    expect(differences(bornThere, born)).toEqual([]);
    // Each is what a repair would write, or leave.
    expect(repair(untold, state)).toBe(untold);
    expect(repair(untold, born)).toMatchObject({ customFields: { k: '1' } });
    expect(repair(bornThere, born)).toBe(bornThere);
  });

  test('a later version is another writer’s, who knows more: no difference', () => {
    const ahead = { ...state.versions, name: version(6), 'customFields.k': version(6), destroyed: version(6) };
    const copy = { ...state, name: 'b', customFields: { k: '2' }, destroyed: true };
    expect(differences({ ...copy, versions: ahead }, state)).toEqual([]);
    expect(differences(copy, state)).toEqual(['name', 'destroyed', 'customFields.k']);
    // Created anew since: what was known is forgotten there.
    expect(differences({ ...newGroup('g'), versions: { created: version(6) } }, state)).toEqual([]);
    expect(differences({ ...newGroup('g'), versions: { created: version(4) } }, state)).toEqual([
      'name',
      'customFields.k',
    ]);
  });
});
