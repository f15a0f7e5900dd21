import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Clock, systemClock } from '../../src/model/clock.ts';
import { BridgeError, type Fault } from '../../src/model/fault.ts';
import { MAX_SKEW_MS } from '../../src/model/service-clock.ts';
import { createGroupApi, type GroupApi } from '../../src/reconcile/api.ts';
import { readAtOf } from '../../src/reconcile/call.ts';
import { createUserSigs } from '../../src/reconcile/usersig.ts';
import { SDK_APP_ID } from '../support/callbacks.ts';
import { hastyClock } from '../support/clock.ts';
import {
  IDENTIFIER,
  SECRET_KEY,
  startVendor,
  type Trouble,
  type Vendor,
  type VendorOptions,
} from '../vendor/stand-in.ts';

const never = (): AbortSignal => new AbortController().signal;
const FAST = { list: 100_000, groups: 100_000 };

async function start(options: VendorOptions = {}, more = {}): Promise<{ vendor: Vendor; api: GroupApi }> {
  const vendor = await startVendor({ limits: FAST, ...options });
  onTestFinished(() => vendor.stop());
  return { vendor, api: apiOf(vendor, more) };
}
function apiOf(vendor: Vendor, more: object = {}, clock: Clock = hastyClock()): GroupApi {
  const settings = { sdkAppId: SDK_APP_ID, baseUrl: vendor.url, identifier: IDENTIFIER, secretKey: SECRET_KEY };
  return createGroupApi({ ...settings, callsPerSecond: FAST, ...more }, clock);
}
async function faultOf(work: Promise<unknown>): Promise<Fault> {
  const thrown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(thrown instanceof BridgeError)) throw new Error(`no fault: ${String(thrown)}`);
  return thrown.fault;
}

describe('UserSig', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  test('the published vector', async () => {
    vi.useFakeTimers({ now: 1_700_000_000_000, toFake: ['Date'] });
    const sig = createUserSigs('1400000000', 'administrator', SECRET_KEY, systemClock).current();
    const { inflateSync } = await import('node:zlib');
    const base64 = sig.replaceAll('*', '+').replaceAll('-', '/').replaceAll('_', '=');
    expect(JSON.parse(inflateSync(Buffer.from(base64, 'base64')).toString())).toMatchObject({
      'TLS.ver': '2.0',
      'TLS.identifier': 'administrator',
      'TLS.sdkappid': 1_400_000_000,
      'TLS.time': 1_700_000_000,
      'TLS.expire': 86_400,
      'TLS.sig': 'yLAe+w7WUeUuqbV9h/TX78u21oTGi+i9Zp1u3PpnY60=',
    });
  });

  test('one is used for half of its time, and another when it is refused', () => {
    vi.useFakeTimers({ now: 1_700_000_000_000, toFake: ['Date'] });
    const sigs = createUserSigs('1400000000', 'administrator', SECRET_KEY, { ...systemClock, now: () => Date.now() });
    const first = sigs.current();
    vi.setSystemTime(1_700_000_000_000 + 43_000_000);
    expect(sigs.current()).toBe(first);
    vi.setSystemTime(1_700_000_000_000 + 44_000_000);
    const second = sigs.current();
    expect(second).not.toBe(first);
    vi.setSystemTime(1_700_000_000_000 + 45_000_000);
    sigs.renew();
    expect(sigs.current()).not.toBe(second);
  });
});

test('a group that is refused does not date the others by the clock of this machine', async () => {
  const { vendor } = await start({ groups: 2 });
  const [one = '', other = ''] = vendor.groups.keys();
  vendor.trouble({ kind: 'code', value: 10_004, command: 'get_group_info', times: 2 });
  const slow = { ...hastyClock(), now: () => Date.now() - MAX_SKEW_MS / 2 };
  const before = Date.now();
  const found = await apiOf(vendor, {}, slow).groups([one, other], () => [], never());
  expect(found).toMatchObject({ groups: [{ groupId: other }], failed: [{ groupId: one }] });
  // The Date of the answer is cut to whole seconds, and the time that the call took is taken from it.
  expect(found.readAt).toBeGreaterThan(before - 60_000);
});

describe('lists', () => {
  test('100,000 groups, page by page, with Next beyond 32 bits', async () => {
    const { vendor, api } = await start({ groups: 100_000 });
    const ids: string[] = [];
    for (const type of ['Public', 'Private', 'ChatRoom', 'Community']) {
      for await (const page of api.groupIds(type, never())) {
        expect(page.ids.length).toBeLessThanOrEqual(10_000);
        expect(page.total).toBe(25_000);
        ids.push(...page.ids);
      }
    }
    expect(new Set(ids)).toEqual(new Set(vendor.groups.keys()));
    expect(ids).toHaveLength(100_000);
  });

  test('groups that come and go between two pages break nothing', async () => {
    const { vendor, api } = await start({ groups: 60_000 });
    const before = [...vendor.groups.values()].filter(({ Type }) => Type === 'Public').map(({ GroupId }) => GroupId);
    const ids = new Set<string>();
    for await (const page of api.groupIds('Public', never())) {
      for (const id of page.ids) ids.add(id);
      vendor.destroy(page.ids[0] ?? '');
      vendor.create({ GroupId: `@TGS#NEW${ids.size}` });
    }
    expect(before.filter((id) => vendor.groups.has(id) && !ids.has(id))).toEqual([]);
  });
});

describe('the doctor’s call', () => {
  test('counts the groups, is made once, and says what is wrong', async () => {
    const { vendor, api } = await start({ groups: 7 });
    expect(await api.examine(never())).toBe(7);
    expect(vendor.calls).toMatchObject({ list: 1, groups: 0 });
    const wrong = await faultOf(apiOf(vendor, { secretKey: 'wrong' }).examine(never()));
    expect(wrong).toMatchObject({ code: 'service-credentials', path: 'reconcile.api.secretKey' });
    const nowhere = await faultOf(apiOf(vendor, { baseUrl: 'http://127.0.0.1:1' }).examine(never()));
    expect(nowhere).toMatchObject({ code: 'service-unreachable', path: 'reconcile.api.baseUrl' });
    expect(await apiOf(vendor, { baseUrl: ['http://127.0.0.1:1', vendor.url] }).examine(never())).toBe(7);
  });
});

describe('descriptions', () => {
  test('every field, empty ones as "", and what is gone or refused by its own code', async () => {
    const { vendor, api } = await start();
    vendor.create({ GroupId: 'a', Name: '名', Owner_Account: 'o' });
    vendor.create({ GroupId: 'refused' });
    vendor.trouble({ kind: 'item', groupId: 'refused', value: 10_007, times: 1 });
    const long = 'x'.repeat(60);
    const read = await api.groups(['a', 'gone', 'refused', long], () => [], never());
    expect(read).toEqual({
      readAt: expect.any(Number),
      groups: [
        {
          groupId: 'a',
          groupType: 'Public',
          name: '名',
          introduction: '',
          notification: '',
          faceUrl: '',
          owner: 'o',
        },
      ],
      // Neither was there ever a group of an id that cannot be one.
      gone: ['gone', long],
      failed: [
        {
          groupId: 'refused',
          passes: false,
          fault: expect.objectContaining({ message: expect.stringContaining('10007 injected') }),
        },
      ],
    });
  });

  test('an answer over 1 MB is asked for in halves', async () => {
    const { vendor, api } = await start();
    const ids = Array.from({ length: 50 }, (_, n) => `big${n}`);
    for (const GroupId of ids) vendor.create({ GroupId, Notification: 'n'.repeat(90_000) });
    const { groups, failed } = await api.groups(ids, () => [], never());
    expect(groups.map(({ groupId }) => groupId)).toEqual(ids);
    expect(failed).toEqual([]);
    expect(vendor.calls.groups).toBeGreaterThan(4);
  });
});

describe('trouble', () => {
  test.each<[string, Omit<Trouble, 'times'>]>([
    ['a rate code', { kind: 'code', value: 60_007 }],
    ['another rate code', { kind: 'code', value: 60_019 }],
    ['its own time-out', { kind: 'code', value: 60_008 }],
    ['HTTP 502', { kind: 'http', value: 502 }],
    ['a connection reset', { kind: 'reset' }],
    ['an answer that is no JSON', { kind: 'garbage' }],
    ['an expired signature, once', { kind: 'code', value: 70_001 }],
  ])('%s is survived', async (_, trouble) => {
    const { vendor, api } = await start({ groups: 3 });
    vendor.trouble({ ...trouble, times: trouble.value === 70_001 ? 1 : 3 });
    expect((await api.groups(['@TGS#G0'], () => [], never())).groups).toHaveLength(1);
  });

  test('delays grow from try to try, and end', async () => {
    const { vendor } = await start({ groups: 1 });
    vendor.trouble({ kind: 'http', value: 500, times: 100 });
    const clock = hastyClock();
    const fault = await faultOf(apiOf(vendor, {}, clock).groups(['@TGS#G0'], () => [], never()));
    expect(fault).toMatchObject({ code: 'service-unreachable', path: 'reconcile.api.baseUrl' });
    const delays = clock.slept.filter((ms) => ms >= 250);
    expect(delays).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 10_000]);
    expect(vendor.calls.groups).toBe(8);
  });

  test.each<[string, object, Omit<Trouble, 'times'> | undefined, Partial<Fault>]>([
    [
      'a wrong key',
      { secretKey: 'wrong-4711' },
      undefined,
      { code: 'service-credentials', path: 'reconcile.api.secretKey' },
    ],
    ['a signature that stays expired', {}, { kind: 'code', value: 70_001 }, { code: 'service-credentials' }],
    ['another app', { sdkAppId: '1' }, undefined, { code: 'service-credentials', path: 'reconcile.api.identifier' }],
    ['another server', {}, { kind: 'http', value: 404 }, { code: 'service-refused', path: 'reconcile.api.baseUrl' }],
    ['a rate that is never right', {}, { kind: 'code', value: 60_011 }, { path: 'reconcile.api.callsPerSecond' }],
  ])('%s is told by the setting to look at, without a secret', async (_, more, trouble, expected) => {
    const { vendor, api } = await start({ groups: 1 }, more);
    if (trouble !== undefined) vendor.trouble({ ...trouble, times: 100 });
    const fault = await faultOf(api.groups(['@TGS#G0'], () => [], never()));
    expect(fault).toMatchObject(expected);
    expect(JSON.stringify(fault)).not.toMatch(/4711|usersig|5bd2850/);
  });

  test('an abort ends a call at once', async () => {
    const { vendor, api } = await start({ groups: 1 });
    vendor.trouble({ kind: 'delay', value: 4_000, times: 1 });
    const stop = new AbortController();
    const call = api.groups(['@TGS#G0'], () => [], stop.signal);
    await expect.poll(() => vendor.calls.groups).toBe(1);
    const start_ = performance.now();
    stop.abort();
    await expect(call).rejects.toThrow();
    expect(performance.now() - start_).toBeLessThan(1_000);
  });
});

/** A server at which another API answers. */
async function startOther(answer: (response: ServerResponse) => void): Promise<string> {
  const server = createServer((_, response) => answer(response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close().closeAllConnections());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test.each(['{}', '{"status":"ok"}', '{"code":404,"message":"no such route"}', '[]', 'null'])(
  'what another API answers is no empty list: %s',
  async (text) => {
    const url = await startOther((response) => response.end(text));
    const api = apiOf({ url } as Vendor);
    const wanted = { message: expect.stringContaining('not that of this API'), path: 'reconcile.api.baseUrl' };
    expect(await faultOf(api.examine(never()))).toMatchObject(wanted);
    expect(await faultOf(api.groupIds('Public', never()).next())).toMatchObject(wanted);
  },
);

test('an answer without an end is given up before it fills the memory', async () => {
  let sent = 0;
  const url = await startOther((response) => {
    const blanks = Buffer.alloc(1_048_576, ' ');
    const write = (): void => {
      while (!response.destroyed && response.write(blanks)) sent += blanks.length;
      sent += blanks.length;
    };
    response.on('drain', write);
    write();
  });
  expect(await faultOf(apiOf({ url } as Vendor).examine(never()))).toMatchObject({
    message: expect.stringContaining('is larger than'),
    path: 'reconcile.api.baseUrl',
  });
  expect(sent).toBeLessThan(100_000_000);
});

test('the limits are kept: nothing is refused for its rate, at full speed, however late calls arrive', async () => {
  let call = 0;
  const latency = () => ({ beforeMs: (call++ % 3) * 80, afterMs: 0 });
  const vendor = await startVendor({ groups: 100, limits: { list: 5, groups: 100 }, latency });
  onTestFinished(() => vendor.stop());
  const api = apiOf(vendor, { callsPerSecond: { list: 5, groups: 100 } }, systemClock);
  const calls = Array.from({ length: 250 }, () => api.groups(['@TGS#G0'], () => [], never()));
  const lists = ['Public', 'Private', 'ChatRoom', 'Community', 'Public', 'Private', 'ChatRoom'].map(async (type) => {
    for await (const _ of api.groupIds(type, never()));
  });
  await Promise.all([...calls, ...lists]);
  expect(vendor.calls.refusedForRate).toBe(0);
  // 16 at once is what reconcile does; here all 250 are on their way, one after the other on kept connections.
  expect(vendor.calls.connections).toBeLessThan(60);
});

test('clocks up to ten minutes apart and whatever delays: a read is dated before the moment the data was looked at', () => {
  fc.assert(
    fc.property(
      fc.record({
        sentAt: fc.integer({ min: 1_600_000_000_000, max: 1_800_000_000_000 }),
        skew: fc.integer({ min: 20_000 - MAX_SKEW_MS, max: MAX_SKEW_MS - 20_000 }),
        before: fc.integer({ min: 0, max: 5_000 }),
        making: fc.integer({ min: 0, max: 5_000 }),
        after: fc.integer({ min: 0, max: 5_000 }),
      }),
      ({ sentAt, skew, before, making, after }) => {
        const looked = sentAt + skew + before;
        const date = new Date(looked + making).toUTCString();
        const readAt = readAtOf(date, before + making + after, sentAt);
        expect(readAt).toBeLessThanOrEqual(looked);
        // And not much before it: a change that was missed a few seconds earlier is still mended.
        expect(looked - readAt).toBeLessThanOrEqual(1_000 + before + after + making);
      },
    ),
  );
});

test('a Date that is further off than any clock of the service is not believed', () => {
  const sentAt = 1_700_000_000_000;
  for (const off of [86_400_000, -3_600_000, MAX_SKEW_MS + 1_000]) {
    expect(readAtOf(new Date(sentAt + off).toUTCString(), 100, sentAt)).toBe(readAtOf(null, 100, sentAt));
  }
});
