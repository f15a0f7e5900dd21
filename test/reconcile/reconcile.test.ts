// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the configuration's own
/**
 * Reconcile as a user runs it: the bridge is a process of its own, Kafka and Elasticsearch are real, the service is the
 * stand-in of test/vendor. The only oracle is what the stand-in holds.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { followTopic } from '../servers/readback.ts';
import {
  type BridgeHome,
  type BridgeProcess,
  bridgeHome,
  inStep,
  runCommand,
  startBridgeProcess,
} from '../support/bridge.process.ts';
import type { Callback } from '../support/callbacks.ts';
import { IDENTIFIER, SECRET_KEY, startVendor, type Vendor, type VendorOptions } from '../vendor/stand-in.ts';

const brokers = inject('kafkaBrokers');
const url = inject('elasticsearchUrl');
const skip = brokers === '' || url === '';
const FAST = { list: 100_000, groups: 100_000 };

async function startService(options: VendorOptions = {}): Promise<Vendor> {
  const vendor = await startVendor({ limits: FAST, ...options });
  onTestFinished(() => vendor.stop());
  return vendor;
}

function homeOf(
  vendor: Vendor,
  connectors: (folder: string) => Record<string, unknown>,
  more: object = {},
): BridgeHome {
  const api = { baseUrl: vendor.url, identifier: IDENTIFIER, secretKey: '${SECRET_KEY}', callsPerSecond: FAST };
  const home = bridgeHome(connectors, { reconcile: { api, ...more } });
  onTestFinished(home.remove);
  return home;
}

const fileOnly = (folder: string) => ({ file: { kind: 'file', path: join(folder, 'events.ndjson') } });
// Not verified by the bridge itself, which would mend what these tests want to find.
const indexOnly = (index: string) => () => ({
  copy: { kind: 'elasticsearch', nodes: [url], index, createIndex: { replicas: 0 }, verify: false },
});

interface Report {
  readonly counts: {
    read: number;
    inStep: number;
    mended: number;
    gone: number;
    failed: number;
    fields: Record<string, number>;
  };
  readonly against?: { done: number; mended: number; failed: number; differing?: readonly { groupId: string }[] };
  readonly waiting: unknown[];
  readonly groups?: readonly object[];
}

/** The command, through the running bridge when one is given. */
async function reconcile(home: BridgeHome, bridge?: BridgeProcess, ...args: string[]) {
  const admin = bridge === undefined ? [] : ['--admin', bridge.adminUrl];
  const { code, stdout, stderr } = await runCommand(['reconcile', '--config', home.configFile, ...admin, ...args], ENV);
  const report = args.includes('--json') && stdout.startsWith('{') ? (JSON.parse(stdout) as Report) : undefined;
  return { code, stdout, stderr, report };
}
const ENV = { SECRET_KEY };

/** What the file connector wrote, by type. */
function written(home: BridgeHome): { type: string; subject: string; data: { changed: Record<string, string> } }[] {
  const lines = readFileSync(join(home.folder, 'events.ndjson'), 'utf8').split('\n');
  return lines.filter(Boolean).map((line) => JSON.parse(line));
}

/** Every document of an index, by id. */
async function documents(index: string): Promise<Map<string, Record<string, unknown>>> {
  await fetch(`${url}/${index}/_refresh`, { method: 'POST' });
  const found = new Map<string, Record<string, unknown>>();
  let after: unknown;
  for (;;) {
    const response = await fetch(`${url}/${index}/_search`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        size: 10_000,
        sort: [{ groupId: 'asc' }],
        _source: { excludes: ['versions'] },
        ...(after !== undefined && { search_after: after }),
      }),
    });
    const { hits } = (await response.json()) as {
      hits: { hits: { _id: string; _source: Record<string, unknown>; sort: unknown }[] };
    };
    for (const { _id, _source } of hits.hits) found.set(_id, _source);
    if (hits.hits.length === 0) return found;
    after = hits.hits.at(-1)?.sort;
  }
}

/** The profile, as the stand-in holds it and as a copy should. */
function expected(vendor: Vendor): Map<string, Record<string, unknown>> {
  return new Map(
    Array.from(vendor.groups.values(), (group) => [
      group.GroupId,
      {
        groupType: group.Type,
        name: group.Name,
        introduction: group.Introduction,
        notification: group.Notification,
        faceUrl: group.FaceUrl,
        owner: group.Owner_Account,
        destroyed: false,
      },
    ]),
  );
}

/** The ids of what differs, group by group; those that are gone must be marked so. */
function differences(vendor: Vendor, copy: ReadonlyMap<string, Record<string, unknown>>): string[] {
  const wanted = expected(vendor);
  const wrong = [...wanted].filter(([groupId, profile]) => {
    const document = copy.get(groupId);
    return document === undefined || Object.entries(profile).some(([field, value]) => document[field] !== value);
  });
  const lingering = [...copy].filter(([groupId, { destroyed }]) => !wanted.has(groupId) && destroyed !== true);
  return [...wrong, ...lingering].map(([groupId]) => groupId);
}

async function post(bridge: BridgeProcess, callbacks: readonly Callback[]): Promise<void> {
  for (const callback of callbacks) expect((await bridge.post(callback)).status).toBe(200);
}

describe.skipIf(skip)('drift', () => {
  test('a backfill of 1,000 groups, then 400 changes of which 40 callbacks are withheld: in step again', async () => {
    const vendor = await startService({ groups: 1_000 });
    const index = `test-${randomUUID()}`;
    const topic = `test.${randomUUID()}`;
    const home = homeOf(vendor, () => ({
      ...indexOnly(index)(),
      events: { kind: 'kafka', brokers: [brokers], topic, createTopic: { partitions: 3 } },
    }));
    const bridge = await startBridgeProcess(home, ENV);

    const backfill = await reconcile(home, bridge, '--json');
    expect(backfill).toMatchObject({ code: 0, stderr: '' });
    expect(backfill.report?.counts).toMatchObject({
      read: 1_000,
      mended: 1_000,
      failed: 0,
      fields: { new: 1_000 },
    });
    await inStep(bridge, 120_000);

    const ids = [...vendor.groups.keys()];
    const sent: Callback[] = [];
    for (let n = 0; n < 400; n++) {
      const groupId = ids[(n * 97) % ids.length] ?? '';
      const callback =
        n % 50 === 7
          ? vendor.destroy(groupId)
          : vendor.change(
              groupId,
              n % 2 === 0 ? { Name: `changed ${n}` } : { Notification: '', Introduction: `told ${n}` },
            );
      if (n % 10 !== 7) sent.push(callback);
    }
    vendor.create({ GroupId: '@TGS#LATER', Name: 'created when nobody told' });
    await post(bridge, sent);
    await inStep(bridge);
    // Without it the copy is wrong: 40 callbacks are missing, 8 of them destructions, and one group is not known.
    expect(differences(vendor, await documents(index)).length).toBeGreaterThan(32);

    const mend = await reconcile(home, bridge, '--json');
    expect(mend).toMatchObject({ code: 0, report: { counts: { gone: 8, failed: 0 } } });
    expect(mend.report?.counts.mended).toBeGreaterThan(24);
    await inStep(bridge);
    expect(differences(vendor, await documents(index))).toEqual([]);

    const second = await reconcile(home, bridge, '--json');
    expect(second.report?.counts).toMatchObject({ mended: 0, gone: 0, failed: 0, read: vendor.groups.size });

    const reader = await followTopic(brokers, topic);
    const total = 1_000 + sent.length + (mend.report?.counts.mended ?? 0) + 8;
    await reader.until((records) => records.length >= total, `${total} records`);
    await reader.close();
    expect(reader.records).toHaveLength(total);
    expect(await bridge.end('SIGTERM')).toBe(0);
  }, 300_000);

  test('callbacks that go on meanwhile never lose to an older read', async () => {
    let call = 0;
    const vendor = await startService({
      groups: 300,
      skewMs: 40_000,
      // The answer lies around for a while after the data was read, and all of that in another order each time.
      latency: () => ({ beforeMs: (call++ * 7) % 40, afterMs: (call * 31) % 200 }),
    });
    const index = `test-${randomUUID()}`;
    const home = homeOf(vendor, indexOnly(index));
    const bridge = await startBridgeProcess(home, ENV);
    expect((await reconcile(home, bridge, '--json')).code).toBe(0);

    let running = true;
    let changes = 0;
    const ids = [...vendor.groups.keys()];
    const traffic = async (): Promise<void> => {
      while (running) {
        const batch = Array.from({ length: 20 }, () => {
          const groupId = ids[(changes * 13) % ids.length] ?? '';
          return vendor.change(groupId, { Name: `name ${changes++}` });
        });
        // Not in the order in which they happened.
        await post(bridge, batch.reverse());
      }
    };
    const going = traffic();
    for (let n = 0; n < 8; n++) expect((await reconcile(home, bridge, '--json')).code).toBe(0);
    running = false;
    await going;
    await inStep(bridge);
    expect(changes).toBeGreaterThan(200);
    expect(differences(vendor, await documents(index))).toEqual([]);
    expect(await bridge.end('SIGTERM')).toBe(0);
  }, 120_000);

  test('--against: what somebody changed or lost in the index itself is mended, and --dry-run only says so', async () => {
    const vendor = await startService({ groups: 1_200 });
    const index = `test-${randomUUID()}`;
    const home = homeOf(vendor, indexOnly(index));
    const bridge = await startBridgeProcess(home, ENV);
    await reconcile(home, bridge, '--json');
    await inStep(bridge);

    const edit = (path: string, init: RequestInit) =>
      fetch(`${url}/${index}/${path}`, { ...init, headers: { 'content-type': 'application/json' } });
    const doc = (id: string) => encodeURIComponent(id);
    await edit(`_update/${doc('@TGS#G1')}?refresh`, { method: 'POST', body: '{"doc":{"name":"by hand"}}' });
    await edit(`_doc/${doc('@TGS#G2')}?refresh`, { method: 'DELETE' });
    await edit(`_doc/${doc('@TGS#G3')}?refresh`, { method: 'PUT', body: '{"mine":true}' });
    expect(differences(vendor, await documents(index)).sort()).toEqual(['@TGS#G1', '@TGS#G2', '@TGS#G3']);

    const dry = await reconcile(home, bridge, '--json', '--against', 'copy', '--dry-run');
    expect(dry).toMatchObject({
      code: 0,
      report: { counts: { mended: 0 }, against: { done: 1_200, mended: 3, failed: 0 } },
    });
    expect(differences(vendor, await documents(index))).toHaveLength(3);

    const byName = (one: { groupId: string }, other: { groupId: string }) => one.groupId.localeCompare(other.groupId);
    expect([...(dry.report?.against?.differing ?? [])].sort(byName)).toEqual([
      { groupId: '@TGS#G1', standing: 'differs', differs: ['name'] },
      { groupId: '@TGS#G2', standing: 'missing' },
      { groupId: '@TGS#G3', standing: 'differs', differs: expect.arrayContaining(['name', 'owner']) },
    ]);
    const told = await reconcile(home, bridge, '--against', 'copy', '--dry-run', '--group', '@TGS#G1', '@TGS#G2');
    expect(told.stdout).toMatch(/would be mended "@TGS#G1": name\n +would be mended "@TGS#G2": missing\n/);

    const some = await reconcile(home, bridge, '--against', 'copy', '--group', '@TGS#G1', '@TGS#G9');
    expect(some.stdout).toMatch(/copy: 2 compared, 1 mended, 0 failed/);
    const all = await reconcile(home, bridge, '--json', '--against', 'copy');
    expect(all).toMatchObject({ code: 0, report: { against: { done: 1_200, mended: 2, failed: 0 } } });
    const after = await documents(index);
    expect(differences(vendor, after)).toEqual([]);
    // What is not the bridge's stays.
    expect(after.get('@TGS#G3')).toMatchObject({ mine: true });
    expect(await bridge.end('SIGTERM')).toBe(0);
  });
});

describe('the command', () => {
  test('works by itself when no bridge runs, with a table, and a second run finds nothing', async () => {
    const vendor = await startService({ groups: 120 });
    vendor.create({ GroupId: 'chat', Type: 'AVChatRoom' });
    const home = homeOf(vendor, fileOnly);
    const first = await reconcile(home);
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toMatch(/no bridge runs at/);
    expect(first.stdout).toMatch(
      /read +120 in [\d.]+ s\nin step +0\nmended +120\n +new +120\ngone +0\ndestroyed +0 of 0 known\nfailed +0/,
    );
    expect(written(home).map(({ type }) => type)).toEqual(Array(120).fill('chat.group.info.read'));

    // Reads are dated to the second: one that is to be newer than another has to be in a later one.
    const readBy = vendor.now();
    await expect.poll(() => vendor.now(), { timeout: 5_000 }).toBeGreaterThan(readBy + 2_000);
    vendor.change('@TGS#G1', { Name: '' });
    vendor.destroy('@TGS#G2');
    const second = await reconcile(home, undefined, '--json');
    expect(second.report?.counts).toEqual({
      read: 120,
      inStep: 118,
      mended: 1,
      fields: { name: 1 },
      gone: 1,
      failed: 0,
      known: 120,
      destroyed: 1,
      withheld: 0,
      lasting: 0,
    });
    expect(
      written(home)
        .slice(120)
        .map(({ type, subject, data }) => [type, subject, data.changed]),
    ).toEqual(
      expect.arrayContaining([
        ['chat.group.info.read', '@TGS#G1', { name: '' }],
        ['chat.group.destroyed', '@TGS#G2', {}],
      ]),
    );
    const third = await reconcile(home, undefined, '--json');
    expect(third.report?.counts).toMatchObject({ read: 119, inStep: 119, mended: 0, gone: 0 });
  });

  test('--dry-run says what would be mended, and records nothing; --group reads those alone', async () => {
    const vendor = await startService({ groups: 60 });
    const home = homeOf(vendor, fileOnly);
    const dry = await reconcile(home, undefined, '--dry-run');
    expect(dry).toMatchObject({ code: 0, stdout: expect.stringMatching(/would be mended +60/) });
    const some = await reconcile(home, undefined, '--json', '--group', '@TGS#G1', '@TGS#G2', 'nobody');
    expect(some.report?.counts).toMatchObject({ read: 3, mended: 2, gone: 1 });
    expect(
      written(home)
        .map(({ subject }) => subject)
        .sort(),
    ).toEqual(['@TGS#G1', '@TGS#G2']);
    expect(vendor.calls.groups).toBe(4 + 1 - 2);
  });

  test('a dry run names each group that would be mended, field by field, and each that would be destroyed', async () => {
    const vendor = await startService({ groups: 2_300 });
    const home = homeOf(vendor, fileOnly);
    const first = await reconcile(home, undefined, '--dry-run', '--json');
    // More than a page.
    expect(first.report?.groups).toHaveLength(2_300);
    expect((await reconcile(home)).code).toBe(0);
    const readBy = vendor.now();
    await expect.poll(() => vendor.now(), { timeout: 5_000 }).toBeGreaterThan(readBy + 2_000);
    const name = vendor.groups.get('@TGS#G1')?.Name;
    vendor.change('@TGS#G1', { Name: 'line\nfeed' });
    vendor.destroy('@TGS#G2');
    const dry = await reconcile(home, undefined, '--dry-run', '--json');
    expect(dry).toMatchObject({ code: 0, report: { counts: { mended: 1, destroyed: 1, known: 2_300 } } });
    expect(dry.report?.groups).toEqual([
      {
        groupId: '@TGS#G1',
        name: 'line\nfeed',
        would: 'mend',
        fields: [{ field: 'name', before: name, after: 'line\nfeed' }],
      },
      expect.objectContaining({ groupId: '@TGS#G2', would: 'destroy' }),
    ]);
    const said = await reconcile(home, undefined, '--dry-run');
    expect(said.stdout).toMatch(
      /would be mended "@TGS#G1".*\n {2}name: ".*" → "line\\nfeed"\nwould be destroyed "@TGS#G2" "group 2"\n/,
    );
    expect(written(home)).toHaveLength(2_300);
  });

  test('stopped half-way it goes on where it stopped, and groups that fail are named, exit 1', async () => {
    const vendor = await startService({ groups: 4_000 });
    const home = homeOf(vendor, fileOnly);
    const bridge = await startBridgeProcess(home, ENV);
    vendor.trouble({ kind: 'delay', value: 400, times: 80, command: 'get_group_info' });
    const command = reconcile(home, bridge, '--json');
    await expect.poll(() => vendor.calls.groups, { timeout: 20_000 }).toBeGreaterThan(60);
    await fetch(`${bridge.adminUrl}/api/reconcile/stop`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    const stopped = await command;
    expect(stopped.code).toBe(1);
    expect(stopped.stderr).toMatch(/stopped: it was stopped — the same command resumes/);
    const read = stopped.report?.counts.read ?? 0;
    expect(read).toBeGreaterThan(0);
    expect(read).toBeLessThan(4_000);

    // Over a kill of the bridge, too.
    await bridge.end('SIGKILL');
    const again = await startBridgeProcess(home, ENV);
    const before = vendor.calls.groups;
    vendor.trouble({ kind: 'item', groupId: '@TGS#G3999', value: 10_007, times: 1 });
    const rest = await reconcile(home, again, '--json');
    expect(rest.code).toBe(1);
    expect(rest.report?.counts).toMatchObject({ read: 3_999, failed: 1 });
    expect(vendor.calls.groups - before).toBe(Math.ceil((4_000 - read) / 50));
    await inStep(again);
    expect(new Set(written(home).map(({ subject }) => subject)).size).toBe(3_999);
    const last = await reconcile(home, again);
    expect(last).toMatchObject({ code: 0, stdout: expect.stringMatching(/mended +1/) });
    expect(await again.end('SIGTERM')).toBe(0);
  });

  test('a service that cannot be asked, no configuration, an unknown connector: each is said', async () => {
    const vendor = await startService();
    const wrong = await runCommand(['reconcile', '--config', homeOf(vendor, fileOnly).configFile], {
      SECRET_KEY: 'wrong-4711',
    });
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toMatch(/refuses the signature: 70009.*\(reconcile\.api\.secretKey\)/);
    expect(wrong.stdout + wrong.stderr).not.toContain('4711');

    const bare = bridgeHome(fileOnly);
    onTestFinished(bare.remove);
    const unconfigured = await reconcile(bare);
    expect(unconfigured).toMatchObject({ code: 2, stderr: expect.stringMatching(/not configured.*secretKey/) });
    const unknown = await reconcile(homeOf(vendor, fileOnly), undefined, '--against', 'nobody');
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringMatching(/no connector called nobody/) });
    const unread = await reconcile(homeOf(vendor, fileOnly), undefined, '--against', 'file');
    expect(unread).toMatchObject({ code: 2, stderr: expect.stringMatching(/holds events, not groups/) });
  });
});

test('every: the first run comes with the start, one at a time; status and metrics tell of it', async () => {
  const vendor = await startService({ groups: 400 });
  const release = vendor.hold();
  const home = homeOf(vendor, fileOnly, { every: '6h' });
  const bridge = await startBridgeProcess(home, ENV);
  const second = await reconcile(home, bridge);
  expect(second).toMatchObject({ code: 1, stderr: expect.stringMatching(/already running/) });
  release();
  const status = async () => {
    const { reconcile } = (await (await fetch(`${bridge.adminUrl}/api/status`)).json()) as {
      reconcile: { running: boolean; nextAt?: number; run?: { counts: object; endedAt?: number } };
    };
    return reconcile;
  };
  await expect.poll(status).toMatchObject({ running: false, run: { counts: { mended: 400 } } });
  const { nextAt = 0, run } = await status();
  expect(Math.abs(nextAt - (run?.endedAt ?? 0) - 6 * 3_600_000)).toBeLessThan(1_000);
  const metrics = await (await fetch(`${bridge.adminUrl}/metrics`)).text();
  expect(metrics).toContain('bridge_reconcile_runs_total{outcome="done"} 1');
  expect(metrics).toContain('bridge_reconcile_groups_total{result="mended"} 400');
  expect(metrics).toMatch(/bridge_reconcile_last_end_timestamp_seconds 1\d{9}/);
  const shown = await runCommand(['status', '--config', home.configFile, '--admin', bridge.adminUrl], ENV);
  expect(shown.stdout).toMatch(/reconcile +ended .*: 400 read, 400 mended, 0 gone, 0 failed/);
  expect(await bridge.end('SIGTERM')).toBe(0);

  // It has just been: the next start does not begin with another.
  const before = vendor.calls.groups;
  const again = await startBridgeProcess(home, ENV);
  const next = (await (await fetch(`${again.adminUrl}/api/status`)).json()) as { reconcile: { nextAt: number } };
  expect(next.reconcile.nextAt).toBe(nextAt);
  expect(await again.end('SIGTERM')).toBe(0);
  expect(vendor.calls.groups).toBe(before);
});
