/** The way out for groups: what is forgotten is gone, what somebody still needs is kept and says why. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { openJournal } from '../../src/journal/append.ts';
import { openDatabase } from '../../src/journal/database.ts';
import { createGroupReader } from '../../src/journal/groups.ts';
import { createDeliveryReader } from '../../src/journal/reads.ts';
import { systemClock } from '../../src/model/clock.ts';
import { groupEvent } from '../../src/model/event.ts';
import { createSignals } from '../../src/model/signal.ts';
import { type BridgeProcess, bridgeHome, inStep, runCommand, startBridgeProcess } from '../support/bridge.process.ts';
import { body, OK, search } from '../support/callbacks.ts';
import { madeEvent } from '../support/events.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'forget-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function open(connectors: string[] = ['a', 'b']) {
  const database = openDatabase(join(folder, 'journal.db'), { maxBytes: 64 * 1_048_576 });
  const journal = openJournal(database, systemClock, createSignals(), () => connectors);
  const reader = createDeliveryReader(database.connection);
  const take = (connector: string, cursor: number, more: object = {}): void => {
    journal.settle({ connector, upTo: cursor, waiting: [], dead: [], released: [], ...more });
  };
  return { journal, reader, take, groups: createGroupReader(database.connection, journal.buffered) };
}

const destroyed = (n: number, groupId: string, at: number) =>
  groupEvent('chat.group.destroyed', '1400701118', `destroyed${String(n).padStart(6, '0')}`, {
    ...madeEvent(n, {}, groupId).data,
    occurredAt: at,
  });

describe('a group that is forgotten', () => {
  test('is gone with its delivered events, for good; its next change begins a new state', async () => {
    const { journal, reader, take, groups } = open();
    // Many, so that they go in several steps; between those of another group.
    const many = Array.from({ length: 2_400 }, (_, n) => madeEvent(n, { name: `${n}` }, n % 2 === 0 ? 'g' : 'other'));
    await Promise.all(many.map((event) => journal.record(event)));
    take('a', 2_400);
    take('b', 2_400);
    expect(await journal.forget('nobody')).toMatchObject({ code: 'group-unknown' });
    expect(await journal.forget('g')).toBeUndefined();
    expect(groups.get('g')).toBeUndefined();
    expect(groups.get('other')?.name).toBe('2399');
    expect(reader.read(0, 5_000).map(({ groupId }) => groupId)).toEqual(Array(1_200).fill('other'));
    expect(await journal.forget('g')).toMatchObject({ code: 'group-unknown' });
    await journal.record(madeEvent(3_000, { introduction: 'new' }, 'g'));
    expect(groups.get('g')).toMatchObject({ introduction: 'new' });
    expect(groups.get('g')).not.toHaveProperty('name');
    journal.close();
    const again = open();
    expect(again.groups.get('g')).toMatchObject({ introduction: 'new' });
    expect(again.groups.get('g')).not.toHaveProperty('name');
    expect(again.reader.head()).toBe(2_401);
    again.journal.close();
  });

  test('frees the room it took: a journal full of groups takes new ones again', async () => {
    const { journal, take } = open(['a']);
    let n = 0;
    while (!journal.groupsFull()) {
      await journal.record(madeEvent(++n, { notification: 'x'.repeat(60_000) }, `g${n}`));
      if (n % 16 === 0) journal.flushGroups();
      take('a', n);
    }
    await expect(journal.record(madeEvent(++n, {}, 'one more'))).rejects.toThrow(/new group/);
    for (let k = 1; k < n / 2; k++) expect(await journal.forget(`g${k}`)).toBeUndefined();
    expect(journal.groupsFull()).toBe(false);
    expect(await journal.record(madeEvent(++n, {}, 'one more'))).toBe('recorded');
    journal.close();
  });

  test.each(['toString', '__proto__', "'; DROP TABLE groups; --", '\u0000\u202e', '😀'.repeat(128)])(
    'whatever it is called: %j',
    async (groupId) => {
      const { journal, take, groups } = open(['a']);
      await journal.record(madeEvent(1, { name: 'x' }, groupId));
      take('a', 1);
      expect(await journal.forget(groupId)).toBeUndefined();
      expect(groups.get(groupId)).toBeUndefined();
      journal.close();
    },
  );
});

describe('a group that is needed stays whole, and it is said by whom', () => {
  test('events that a connector has not taken', async () => {
    const { journal, take, groups } = open();
    await journal.record(madeEvent(1, { name: 'x' }, 'g'));
    take('a', 1);
    expect(await journal.forget('g')).toMatchObject({
      code: 'group-unsettled',
      message: 'b has not received its events',
    });
    expect(groups.get('g')?.name).toBe('x');
    take('b', 1);
    await journal.record(madeEvent(2, { name: 'y' }, 'another'));
    expect(await journal.forget('g')).toBeUndefined();
    journal.close();
  });

  test.each(['waiting', 'dead'] as const)('an event of it that is %s', async (state) => {
    const { journal, reader, take, groups } = open(['a']);
    const fault = { code: 'event-refused', message: 'x' } as const;
    for (const n of [1, 2]) await journal.record(madeEvent(n, { name: `${n}` }, 'g'));
    take('a', 2, { [state]: [{ seq: 1, attempts: 1, dueAt: 1, fault }] });
    const why = state === 'dead' ? /it has a dead letter at a \(seq 1\)/ : /waiting for a retry at a/;
    expect((await journal.forget('g'))?.message).toMatch(why);
    expect(groups.get('g')?.name).toBe('2');
    expect(reader.read(0, 10)).toHaveLength(2);
    // Of a connector that is not there any more nobody would ever settle it.
    take('a', 2, { released: [1] });
    take('removed', 2, { [state]: [{ seq: 1, attempts: 1, dueAt: 1, fault }] });
    expect(await journal.forget('g')).toBeUndefined();
    journal.close();
  });

  test('a change that comes meanwhile', async () => {
    // It is asked which connectors there are once it is known that the group may go.
    let asked = (): void => {};
    const names = {
      [Symbol.iterator]: () => {
        asked();
        return ['a'].values();
      },
    };
    const { journal, take, groups } = open(names as unknown as string[]);
    await journal.record(madeEvent(1, { name: '1' }, 'g'));
    take('a', 1);
    asked = () => void journal.record(madeEvent(2, { introduction: 'new' }, 'g'));
    expect((await journal.forget('g'))?.message).toBe('it has just changed');
    expect(groups.get('g')).toMatchObject({ name: '1', introduction: 'new' });
    asked = () => {};
    take('a', 2);
    // One that stands after it in the same transaction begins a new state.
    const forgetting = journal.forget('g');
    await journal.record(madeEvent(3, { notification: 'x' }, 'another'));
    expect(await forgetting).toBeUndefined();
    expect(await journal.record(madeEvent(4, { faceUrl: 'x' }, 'g'))).toBe('recorded');
    expect(groups.get('g')).not.toHaveProperty('name');
    journal.close();
  });
});

test('destroyed groups are found by age, in steps', async () => {
  const { journal, take } = open(['a']);
  const now = Date.now();
  for (let n = 0; n < 200; n++) {
    await journal.record(madeEvent(n, { name: 'x' }, `g${String(n).padStart(3, '0')}`));
    if (n % 4 === 0) await journal.record(destroyed(n, `g${String(n).padStart(3, '0')}`, now - n * 1_000));
  }
  take('a', 1_000);
  journal.flushGroups();
  const found: string[] = [];
  let looked = 0;
  let steps = 0;
  for (let after: string | undefined = ''; after !== undefined; steps++) {
    const page = journal.destroyed(after, 100_000);
    found.push(...page.groupIds);
    looked += page.looked;
    after = page.last;
  }
  expect(looked).toBe(200);
  expect(steps).toBeGreaterThan(2);
  expect(found).toEqual(Array.from({ length: 25 }, (_, k) => `g${100 + k * 4}`));
  journal.close();
});

test('a step over large groups ends early: callbacks wait while it reads them', async () => {
  const { journal, take } = open(['a']);
  for (let n = 0; n < 60; n++) await journal.record(madeEvent(n, { notification: 'x'.repeat(60_000) }, `g${n}`));
  take('a', 60);
  journal.flushGroups();
  let looked = 0;
  for (let after: string | undefined = ''; after !== undefined; ) {
    const page = journal.destroyed(after, 0);
    expect(page.looked).toBeLessThan(20);
    looked += page.looked;
    after = page.last;
  }
  expect(looked).toBe(60);
  journal.close();
});

describe('the commands', () => {
  const command = async (bridge: BridgeProcess, ...args: string[]) => {
    const { code, stdout, stderr } = await runCommand([...args, '--admin', bridge.adminUrl]);
    return { code, said: stdout + stderr };
  };
  const post = (bridge: BridgeProcess, GroupId: string, more: object = {}) =>
    bridge.post({ search: search(), body: body({ GroupId, EventTime: Date.now() - 86_400_000, ...more }) });
  const destroy = (bridge: BridgeProcess, GroupId: string) => {
    const CallbackCommand = 'Group.CallbackAfterGroupDestroyed';
    const gone = { CallbackCommand, GroupId, Type: 'Public', EventTime: Date.now() - 3_600_000 };
    return bridge.post({ search: search({ CallbackCommand }), body: JSON.stringify(gone) });
  };

  test('forget and prune, also while a connector is paused; a restart brings nothing back', async () => {
    const home = bridgeHome((at) => ({ audit: { kind: 'file', path: join(at, 'events.ndjson') } }));
    onTestFinished(home.remove);
    const bridge = await startBridgeProcess(home);
    for (let n = 0; n < 10; n++) expect(await post(bridge, `g${n}`)).toEqual(OK);
    for (let n = 0; n < 5; n++) expect(await destroy(bridge, `g${n}`)).toEqual(OK);
    await inStep(bridge);

    const dry = await command(bridge, 'groups', 'prune', '--destroyed', '--older', '30m', '--dry-run');
    expect(dry).toMatchObject({ code: 0, said: expect.stringMatching(/^would forget 5 groups of 10\n {2}"g0"\n/) });
    expect(await command(bridge, 'groups', 'prune', '--older', '1h')).toMatchObject({ code: 2 });
    expect((await command(bridge, 'groups', 'prune', '--destroyed', '--older', '30m')).said).toBe(
      'forgot 5 groups of 10\n',
    );

    await command(bridge, 'pause', 'audit');
    expect(await post(bridge, 'g5', { Name: 'again' })).toEqual(OK);
    const some = await command(bridge, 'groups', 'forget', 'g5', 'g6', 'nobody');
    expect(some.code).toBe(1);
    expect(some.said).toMatch(/^forgot 1 group\nkept "g5": audit has not received its events — /);
    expect(some.said).toMatch(/kept "nobody": no such group/);
    expect(some.said).toMatch(/2 groups could not be forgotten/);
    await bridge.end('SIGKILL');

    const again = await startBridgeProcess(home);
    const { groups } = (await (await fetch(`${again.adminUrl}/api/groups`)).json()) as {
      groups: { groupId: string }[];
    };
    expect(groups.map(({ groupId }) => groupId)).toEqual(['g5', 'g7', 'g8', 'g9']);
    expect(await again.end('SIGTERM')).toBe(0);
  });

  test('a journal full of strangers’ groups is cleared without a restart', async () => {
    const home = bridgeHome((at) => ({ audit: { kind: 'file', path: join(at, 'events.ndjson') } }), {
      receiver: { host: '127.0.0.1', port: 0, whenUnrecordable: 'fail' },
      journal: { maxBytes: '4MiB', keepDelivered: '1s' },
    });
    onTestFinished(home.remove);
    const bridge = await startBridgeProcess(home);
    const made: string[] = [];
    const flood = async (): Promise<void> => {
      for (let status = 200; status === 200; ) {
        const id = `s${randomUUID()}`;
        ({ status } = await post(bridge, id, { Introduction: 'x'.repeat(20_000) }));
        if (status === 200) made.push(id);
      }
    };
    await Promise.all(Array.from({ length: 4 }, flood));
    await inStep(bridge);
    expect((await post(bridge, 'honest')).status).toBe(503);
    expect(await (await fetch(`${bridge.adminUrl}/readyz`)).text()).toContain(
      'free room with groups forget or groups prune',
    );
    for (const id of made.slice(0, made.length / 2)) expect(await destroy(bridge, id)).toEqual(OK);
    await inStep(bridge);
    await expect
      .poll(async () => {
        await command(bridge, 'groups', 'prune', '--destroyed', '--older', '1m');
        return (await post(bridge, 'honest')).status;
      })
      .toBe(200);
    expect(await bridge.end('SIGTERM')).toBe(0);
  });
});
