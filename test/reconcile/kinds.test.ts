/**
 * What the service's answers mean for a run: codes, lists that are refused, ids that spoil a call, odd and missing fields,
 * redirects, everything gone. The double is a server that says what a test wants; the oracle is what the command prints, or
 * what a run in this process tells where nothing printed matters, and what the file of events holds.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { reconcileStatus } from '../../src/admin/contract.ts';
import { startBridge } from '../../src/bridge.ts';
import { loadConfig } from '../../src/config/load.ts';
import { openJournal } from '../../src/journal/append.ts';
import { openDatabase } from '../../src/journal/database.ts';
import { systemClock } from '../../src/model/clock.ts';
import { type CanonicalEvent, groupEvent } from '../../src/model/event.ts';
import { describeFault, faultOf } from '../../src/model/fault.ts';
import { createSignals } from '../../src/model/signal.ts';
import { createGroupApi } from '../../src/reconcile/api.ts';
import { CODE_CLASSES, classOf } from '../../src/reconcile/codes.ts';
import { mostGone } from '../../src/reconcile/run.ts';
import { bridgeHome, runCommand, startBridgeProcess, withClock } from '../support/bridge.process.ts';
import { SDK_APP_ID } from '../support/callbacks.ts';
import { hastyClock } from '../support/clock.ts';
import { IDENTIFIER, SECRET_KEY } from '../vendor/stand-in.ts';

interface Asked {
  readonly command: string;
  readonly path: string;
  readonly body: {
    readonly GroupType?: string;
    readonly Limit?: number;
    readonly Next?: number;
    readonly GroupIdList: readonly string[];
    readonly ResponseFilter: { readonly AppDefinedDataFilter_Group?: readonly string[] };
  };
}
/** Says what is answered; undefined is answered well. */
type Script = (asked: Asked, incoming: IncomingMessage, response: ServerResponse) => object | undefined | 'answered';

const FINE = { ActionStatus: 'OK', ErrorInfo: '', ErrorCode: 0 };
const fail = (ErrorCode: number) => ({ ActionStatus: 'FAIL', ErrorInfo: 'because', ErrorCode });
const described = (GroupId: string, more: object = {}) => ({
  ...{ GroupId, ErrorCode: 0, ErrorInfo: '', Type: 'Public', Name: `name of ${GroupId}` },
  ...{ Introduction: '', Notification: '', FaceUrl: '', Owner_Account: 'o', ...more },
});

/** A service with these groups, by type, that answers as the script says; and a bridge without one that runs. */
async function start(groups: Readonly<Record<string, readonly string[]>>, more: object = {}, settings: object = {}) {
  let script: Script = () => undefined;
  /** The service’s clock goes on by much more than a call takes from run to run, since its Date tells whole seconds. */
  let runs = 0;
  const asked: Asked[] = [];
  const server = createServer(async (incoming, response) => {
    const { pathname } = new URL(incoming.url ?? '', 'http://x');
    const one = {
      command: pathname.split('/').at(-1) ?? '',
      path: pathname,
      body: JSON.parse((await text(incoming)) || '{}'),
    };
    asked.push(one);
    response.setHeader('date', new Date(Date.now() + runs * 20_000).toUTCString());
    const scripted = script(one, incoming, response);
    if (scripted === 'answered') return;
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(scripted ?? well(one)));
  });
  const well = ({ command, body }: Asked): object => {
    if (command === 'get_group_info') return { ...FINE, GroupInfo: body.GroupIdList.map((id) => described(id)) };
    const ids = groups[body.GroupType ?? ''] ?? [];
    const [from, limit] = [body.Next ?? 0, body.Limit ?? 10_000];
    const page = ids.slice(from, from + limit);
    const Next = from + limit < ids.length ? from + limit : 0;
    return { ...FINE, TotalCount: ids.length, GroupIdList: page.map((GroupId) => ({ GroupId })), Next };
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const callsPerSecond = { list: 100_000, groups: 100_000 };
  const api = { baseUrl: origin, identifier: IDENTIFIER, secretKey: SECRET_KEY, callsPerSecond, ...more };
  const home = bridgeHome((folder) => ({ file: { kind: 'file', path: join(folder, 'events.ndjson') } }), {
    reconcile: { api, ...settings },
  });
  onTestFinished(home.remove);
  /** In this process, and one that waits for nothing. */
  const groupApi = () => createGroupApi({ ...api, sdkAppId: SDK_APP_ID }, hastyClock());
  const events = (): CanonicalEvent[] =>
    readFileSync(join(home.folder, 'events.ndjson'), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  return {
    origin,
    asked,
    home,
    events,
    journalFile: join(home.folder, 'journal.db'),
    named: () =>
      events()
        .map(({ subject }) => subject)
        .sort(),
    answer: (next: Script) => {
      script = next;
    },
    api: groupApi,
    /** Asks in this process, and waits for nothing; resolves with what went wrong. */
    async ask(): Promise<string> {
      const asking = groupApi().groups(['a'], () => [], new AbortController().signal);
      return asking.then(
        ({ groups }) => groups.map(({ groupId }) => groupId).join(),
        (thrown: unknown) => describeFault(faultOf(thrown, 'internal')),
      );
    },
    /** Runs as the command has them, one after the other in this process; resolves with the last. */
    async run(...requests: { readonly request?: object; readonly before?: () => void }[]) {
      runs++;
      const loaded = loadConfig(home.configFile, process.env);
      if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
      const bridge = await startBridge(loaded.config, 'silent', { receive: false });
      const get = async (path: string) => (await fetch(new URL(path, bridge.adminUrl))).json();
      try {
        const headers = { 'content-type': 'application/json' };
        const status = async () => reconcileStatus.parse(await get('/api/reconcile'));
        for (const { request = {}, before } of requests.length === 0 ? [{}] : requests) {
          before?.();
          const body = JSON.stringify(request);
          await fetch(new URL('/api/reconcile', bridge.adminUrl), { method: 'POST', headers, body });
          await expect.poll(async () => (await status()).running).toBe(false);
        }
        const lag = async () => ((await get('/api/status')) as { connectors: { lag: number }[] }).connectors[0]?.lag;
        await expect.poll(lag).toBe(0);
        const { run } = await status();
        if (run === undefined) throw new Error('there was no run');
        return run;
      } finally {
        await bridge.stop('the run has ended');
      }
    },
    async reconcile(...args: string[]) {
      runs++;
      const { code, stdout, stderr } = await runCommand(['reconcile', '--config', home.configFile, ...args]);
      return { code, said: stdout + stderr };
    },
  };
}

const isList = ({ command }: Asked): boolean => command === 'get_appid_group_list';

describe('a code that passes is tried again', () => {
  const passing = [...CODE_CLASSES.internal.codes, ...CODE_CLASSES.rate.codes, 70_299, 12_345];
  test('each of the table', async () => {
    const service = await start({});
    for (const code of passing) {
      let left = 2;
      service.answer(() => (left-- > 0 ? fail(code) : undefined));
      expect(await service.ask(), String(code)).toBe('a');
    }
    expect(passing.map((one) => classOf(one)?.again)).toEqual(passing.map(() => 'later'));
  });

  test('for one group of an answer, too', async () => {
    const service = await start({ Public: ['a', 'b'] });
    let left = 2;
    service.answer(({ command, body }) =>
      command === 'get_group_info' && left-- > 0
        ? {
            ...FINE,
            GroupInfo: body.GroupIdList.map((id) => (id === 'a' ? { GroupId: id, ...fail(10_002) } : described(id))),
          }
        : undefined,
    );
    expect((await service.run()).counts).toMatchObject({ read: 2, failed: 0 });
    expect(service.named()).toEqual(['a', 'b']);
  });
});

describe('a code that lasts ends the run at once, and says what to change and nothing else', () => {
  test.each<[string, number, RegExp, RegExp]>([
    ['region', 70_020, /baseUrl/, /secretKey|identifier/],
    ['region', 60_026, /baseUrl/, /secretKey|identifier/],
    ['identifier', 60_010, /identifier/, /region|baseUrl|secretKey/],
    ['identifier', 70_403, /identifier/, /region|baseUrl|secretKey/],
    ['plan', 60_016, /plan|stopped/, /region|baseUrl|secretKey|identifier/],
    ['plan', 60_028, /trial/, /region|baseUrl|secretKey|identifier/],
    ['address', 60_021, /IP address/, /region|baseUrl|secretKey|identifier/],
    ['signature', 70_009, /secretKey/, /region|baseUrl/],
  ])('%s: %i', async (_, code, right, wrong) => {
    const service = await start({});
    service.answer(() => fail(code));
    const said = await service.ask();
    expect(said).toMatch(right);
    expect(said).not.toMatch(wrong);
    expect(service.asked.length).toBeLessThanOrEqual(2);
  });

  test('what is gone is told at the end of a run, which this one does not come to', async () => {
    const service = await start({});
    service.answer(() => fail(60_010));
    const { said } = await service.reconcile();
    expect(said).toMatch(/destroyed +none yet: the run did not finish/);
    expect(said).not.toMatch(/known/);
  });

  test('no code stands in two classes', () => {
    const codes = Object.values(CODE_CLASSES).flatMap((one) => [...one.codes]);
    expect(new Set(codes).size).toBe(codes.length);
  });
});

test.each([
  ['of one group', { groupIds: ['a'] }],
  ['that is dry', { dryRun: true }],
])(
  'after a run that was stopped, a run %s tells its own result, and the stopped one can still be gone on with',
  async (_, request) => {
    const service = await start({ Public: ['a', 'b'] });
    const refuse = () => service.answer(() => fail(60_010));
    const serve = () => service.answer(() => undefined);
    const one = await service.run({ before: refuse }, { request, before: serve });
    expect(one).toMatchObject({ counts: { failed: 0 }, endedAt: expect.any(Number) });
    expect(one.stopped).toBeUndefined();
    expect(one.counts.read).toBe('groupIds' in request ? 1 : 2);
    expect((await service.run()).counts).toMatchObject({ read: 2 });
  },
);

describe('one list’s refusal does not void the others', () => {
  test.each([
    ['communities that are not switched on', 11_000, 0],
    ['a code that nobody knows', 12_345, 1],
  ])('%s', async (_, code, exit) => {
    const service = await start({ Public: ['a'], Private: ['b'], ChatRoom: ['c'] });
    service.answer(({ command, body }) =>
      command !== 'get_group_info' && body.GroupType === 'Community' ? fail(code) : undefined,
    );
    const run = await service.reconcile();
    expect(run.code, run.said).toBe(exit);
    expect(run.said).toMatch(new RegExp(`not listed Community: (?!no list).*${code}`));
    expect(service.named()).toEqual(['a', 'b', 'c']);
  });

  // None of these can be about the caller or the address: other lists were given just before.
  test.each([
    ['a right that is lacking for this type alone', fail(10_007), /10007/],
    ['a parameter that the service does not know', fail(10_004), /10004.*groupTypes/],
    ['a limit below which there is nothing to ask for', fail(10_018), /10018(?!.*made again)/],
    ['a Next that leads back to itself', { ...FINE, TotalCount: 1, GroupIdList: [{ GroupId: 'd' }], Next: 7 }, /Next/],
    [
      'ids that are no text',
      { ...FINE, TotalCount: 2, GroupIdList: [{ GroupId: 1 }, 'd'], Next: 0 },
      /not that of this API/,
    ],
    ['an answer that says nothing of groups', FINE, /not that of this API/],
    [
      'a Next that is none',
      { ...FINE, TotalCount: 2, GroupIdList: [{ GroupId: 'd' }], Next: '007' },
      /not that of this API/,
    ],
  ])('nor does %s', async (_, answer, says) => {
    const service = await start({ Public: ['a'], Private: ['b'], ChatRoom: ['c'] });
    service.answer((asked) => (isList(asked) && asked.body.GroupType === 'Community' ? answer : undefined));
    const run = await service.reconcile();
    expect(run.code, run.said).toBe(1);
    expect(run.said).toMatch(new RegExp(`not listed Community: (?!no list).*${says.source}`));
    expect(service.named().filter((id) => id !== 'd')).toEqual(['a', 'b', 'c']);
    expect(service.asked.length).toBeLessThan(40);
  });

  test('one that is too large is asked for with a smaller limit, from where it was', async () => {
    const ids = Array.from({ length: 30 }, (_, n) => `g${n}`);
    const service = await start({ Public: ids });
    service.answer(({ command, body }) =>
      command !== 'get_group_info' && (body.Limit ?? 0) > 7 ? fail(10_018) : undefined,
    );
    expect(await service.run()).toMatchObject({ counts: { read: 30, failed: 0 }, unlisted: [] });
    expect(service.named()).toEqual([...ids].sort());
  });
});

describe('a group that the service refuses', () => {
  test('10015 where it was known to live: gone; the others are read', async () => {
    const service = await start({ Public: ['a', 'b'] });
    await service.run();
    service.answer(({ command, body }) =>
      command === 'get_group_info'
        ? {
            ...FINE,
            GroupInfo: body.GroupIdList.map((id) => (id === 'a' ? { GroupId: id, ...fail(10_015) } : described(id))),
          }
        : undefined,
    );
    expect((await service.run()).counts).toMatchObject({ gone: 1, destroyed: 1, failed: 0 });
    expect(service.events().at(-1)).toMatchObject({ subject: 'a', type: 'chat.group.destroyed' });
  });

  test('groups that are gone, told of the whole call that asks for them: each is found, and the others are read', async () => {
    const known = Array.from({ length: 60 }, (_, n) => `g${n}`);
    const service = await start({ Public: known });
    await service.run();
    const gone = new Set(known.slice(0, 25));
    service.answer(({ command, body }) =>
      command === 'get_group_info' && body.GroupIdList.some((id) => gone.has(id)) ? fail(10_010) : undefined,
    );
    const { counts, stopped } = await service.run();
    expect({ stopped, ...counts }).toMatchObject({ gone: 25, withheld: 25, failed: 0, read: 60 });
    expect((await service.run({ request: { groupIds: ['g0'] } })).counts).toMatchObject({ destroyed: 1, failed: 0 });
    expect(service.events().at(-1)).toMatchObject({ subject: 'g0', type: 'chat.group.destroyed' });
  });

  test.each([[false], [true]])(
    'described and called gone in one answer, in either order (%s): it is there',
    async (last) => {
      const service = await start({ Public: ['a'] });
      await service.run();
      service.answer((asked) => {
        const both = [described('a', { Name: 'new' }), { GroupId: 'a', ...fail(10_010) }];
        return isList(asked) ? undefined : { ...FINE, GroupInfo: last ? both : both.toReversed() };
      });
      expect((await service.run()).counts).toMatchObject({ mended: 1, destroyed: 0 });
    },
  );

  test.each(['x'.repeat(513), 'cut \ud800'])(
    'with an id that no group can have here (%#): it is named, and not recorded',
    async (odd) => {
      const service = await start({ Public: ['a', odd] });
      const { counts, failures } = await service.run();
      expect(counts).toMatchObject({ read: 1, failed: 1 });
      expect(failures).toMatchObject([{ message: expect.stringMatching(/512 bytes or not well-formed/) }]);
      expect(service.named()).toEqual(['a']);
    },
  );

  test('with another answer that lasts: it is named, and fails no run from the third on', async () => {
    const service = await start({ Public: ['a', 'b'] });
    service.answer(({ command, body }) =>
      command === 'get_group_info'
        ? {
            ...FINE,
            GroupInfo: body.GroupIdList.map((id) => (id === 'a' ? { GroupId: id, ...fail(10_007) } : described(id))),
          }
        : undefined,
    );
    const failed = [];
    for (let run = 0; run < 2; run++) failed.push((await service.run()).counts.failed);
    const third = await service.reconcile();
    expect(third).toMatchObject({ code: 0, said: expect.stringMatching(/not read "a"/) });
    const { counts } = await service.run();
    expect([...failed, counts.failed, counts.lasting]).toEqual([1, 1, 0, 1]);
  }, 60_000);

  test('one that is too large alone: it is named, and fails no run from the third on', async () => {
    const service = await start({ Public: ['a', 'b'] });
    service.answer(({ command, body }) =>
      command === 'get_group_info' && body.GroupIdList.includes('a') ? fail(10_018) : undefined,
    );
    const counts = [];
    for (let run = 0; run < 3; run++) counts.push((await service.run()).counts);
    expect(counts.map(({ read, failed, lasting }) => [read, failed, lasting])).toEqual([
      [1, 1, 0],
      [1, 1, 0],
      [1, 0, 1],
    ]);
  }, 60_000);

  test('one that the answer calls too large is asked for alone, and without its custom fields', async () => {
    const service = await start({ Public: ['a', 'b', 'c'] }, {}, { customFields: ['k'] });
    service.answer(({ command, body }) => {
      if (command !== 'get_group_info') return undefined;
      const alone = body.GroupIdList.length === 1;
      const hasKeys = body.ResponseFilter.AppDefinedDataFilter_Group !== undefined;
      const isTooLarge = (id: string) => (id === 'a' && !alone) || (id === 'b' && (!alone || hasKeys)) || id === 'c';
      const GroupInfo = body.GroupIdList.map((id) =>
        isTooLarge(id) ? { GroupId: id, ...fail(10_018) } : described(id),
      );
      return { ...FINE, GroupInfo };
    });
    const counts = [];
    let failures: readonly { readonly groupId: string; readonly message: string }[] = [];
    for (let run = 0; run < 3; run++) {
      const last = await service.run();
      counts.push([last.counts.read, last.counts.failed, last.counts.lasting]);
      failures = last.failures;
    }
    expect(counts).toEqual([
      [2, 2, 0],
      [2, 2, 0],
      [2, 0, 2],
    ]);
    expect(failures.map(({ groupId }) => groupId)).toEqual(['b', 'c']);
    for (const { message } of failures) expect(message).not.toMatch(/made again|refuses one/);
  }, 60_000);

  test('one that the answer leaves out: nothing is said of a code that there is none of', async () => {
    const service = await start({ Public: ['a', 'b'] });
    service.answer((asked) =>
      isList(asked)
        ? undefined
        : { ...FINE, GroupInfo: asked.body.GroupIdList.filter((id) => id !== 'b').map((id) => described(id)) },
    );
    const { code, said } = await service.reconcile();
    expect({ code, said }).toEqual({
      code: 1,
      said: expect.stringMatching(/not read "b": .*leaves it out — reconcile it again/),
    });
    expect(said).toContain('1 group could not be reconciled');
  });

  test('any number of ids that void the whole call fail, and all others are read', async () => {
    const bad = Array.from({ length: 60 }, (_, n) => `bad ${n}`);
    const service = await start({ Public: [...bad, 'good'] });
    service.answer(({ command, body }) =>
      command === 'get_group_info' && body.GroupIdList.some((id) => id.startsWith('bad')) ? fail(10_004) : undefined,
    );
    const { counts, stopped } = await service.run();
    expect({ stopped, failed: counts.failed, read: counts.read }).toEqual({ failed: bad.length, read: 1 });
    expect(service.named()).toEqual(['good']);
  });

  test('one id that voids the whole call is found, and all others are read', async () => {
    const bad = new Set(['bad id', 'g40', 'g77']);
    const ids = [...Array.from({ length: 120 }, (_, n) => `g${n}`), 'bad id'];
    const service = await start({ Public: ids });
    service.answer(({ command, body }) =>
      command === 'get_group_info' && body.GroupIdList.some((id) => bad.has(id)) ? fail(10_004) : undefined,
    );
    const { counts, failures } = await service.run();
    expect(counts.failed).toBe(bad.size);
    expect(new Set(failures.map(({ groupId }) => groupId))).toEqual(bad);
    expect(service.named()).toEqual(ids.filter((id) => !bad.has(id)).sort());
    expect(service.asked.filter((one) => !isList(one)).length).toBeLessThan(50);
  });

  test('where every call is refused the run ends, rather than ask for each group', async () => {
    const service = await start({ Public: Array.from({ length: 500 }, (_, n) => `g${n}`) });
    service.answer((asked) => (isList(asked) ? undefined : fail(10_004)));
    expect((await service.reconcile()).code).toBe(1);
    expect(service.asked.length).toBeLessThan(400);
  });
});

describe('custom fields', () => {
  const AppDefinedData = [{ Key: 'Level', Value: 'silver' }];
  const only = (keys: readonly string[] | undefined) => AppDefinedData.filter(({ Key }) => keys?.includes(Key));

  test('those that were seen are asked for and mended', async () => {
    const service = await start({ Public: ['g'] });
    service.answer(({ command, body }) =>
      command === 'get_group_info'
        ? { ...FINE, GroupInfo: body.GroupIdList.map((id) => described(id, { AppDefinedData: [...AppDefinedData] })) }
        : undefined,
    );
    await service.run();
    expect(service.events()[0]?.data.changed.customFields).toEqual({ Level: 'silver' });
    service.answer(({ command, body }) => {
      if (command !== 'get_group_info') return undefined;
      const keys = body.ResponseFilter.AppDefinedDataFilter_Group;
      const gold = only(keys).map((one) => ({ ...one, Value: 'gold' }));
      return { ...FINE, GroupInfo: body.GroupIdList.map((id) => described(id, { AppDefinedData: gold })) };
    });
    await service.run();
    expect(service.events().at(-1)?.data.changed.customFields).toEqual({ Level: 'gold' });
  });
});

describe('a custom field that the service refuses, in whatever call asks for it,', () => {
  const refuse = (service: Awaited<ReturnType<typeof start>>) =>
    service.answer(({ command, body }) => {
      if (command !== 'get_group_info') return undefined;
      if (body.ResponseFilter.AppDefinedDataFilter_Group?.includes('bad')) return fail(10_004);
      return { ...FINE, GroupInfo: body.GroupIdList.map((id) => described(id, { Introduction: 'new' })) };
    });
  const ids = Array.from({ length: 60 }, (_, n) => `g${n}`);

  test('costs the custom fields of the group that has it, and the others nothing', async () => {
    const service = await start({ Public: ids });
    service.answer(({ command, body }) =>
      command === 'get_group_info'
        ? {
            ...FINE,
            GroupInfo: body.GroupIdList.map((id) =>
              described(id, id === 'g3' ? { AppDefinedData: [{ Key: 'bad', Value: 'v' }] } : {}),
            ),
          }
        : undefined,
    );
    await service.run();
    refuse(service);
    const { counts, failures, stopped } = await service.run();
    expect({ stopped, mended: counts.mended, failed: counts.failed }).toEqual({ mended: 60, failed: 1 });
    expect(failures).toMatchObject([{ groupId: 'g3', message: expect.stringContaining('reconcile.customFields') }]);
  });

  test('where the configuration names it: all groups are read without it, and the setting is named', async () => {
    const service = await start({ Public: ids }, {}, { customFields: ['bad'] });
    refuse(service);
    const { counts, failures, stopped } = await service.run();
    expect({ stopped, mended: counts.mended, failed: counts.failed }).toEqual({ mended: 60, failed: 60 });
    expect(failures[0]?.message).toContain('reconcile.customFields');
    expect(service.asked.filter(({ command }) => command === 'get_group_info').length).toBeLessThan(60);
  });

  /** Answers as `well` does, with the custom field `k` if it is asked for; of the groups in `bad` it is no UTF-8. */
  const spoil = (service: Awaited<ReturnType<typeof start>>, bad: ReadonlySet<string>) =>
    service.answer(({ command, body }, _, response) => {
      if (command !== 'get_group_info') return undefined;
      const hasKeys = body.ResponseFilter.AppDefinedDataFilter_Group !== undefined;
      const ofOne = (id: string) => ({ AppDefinedData: [{ Key: 'k', Value: bad.has(id) ? '\xff' : 'v' }] });
      const GroupInfo = body.GroupIdList.map((id) => described(id, hasKeys ? ofOne(id) : {}));
      response.writeHead(200).end(Buffer.from(JSON.stringify({ ...FINE, GroupInfo }), 'latin1'));
      return 'answered';
    });

  test('is not suspected where values of a few groups cannot be read: the others keep their custom fields', async () => {
    const bad = new Set(['g48', 'g49', 'g50', 'g70']);
    const service = await start({});
    spoil(service, bad);
    const api = service.api();
    for (const first of [1, 51]) {
      const ids = Array.from({ length: 50 }, (_, n) => `g${first + n}`);
      const { groups, failed } = await api.groups(ids, () => ['k'], new AbortController().signal);
      const without = groups.filter(({ customFields }) => customFields === undefined).map(({ groupId }) => groupId);
      expect(without).toEqual(ids.filter((id) => bad.has(id)));
      expect(failed.map(({ groupId }) => groupId)).toEqual(without);
      for (const { fault } of failed) expect(describeFault(fault)).toMatch(/not UTF-8(?!.*refuses one)/);
    }
  });

  test('is not accused where one group is too large with its custom fields', async () => {
    const service = await start({ Public: ['a', 'b'] }, {}, { customFields: ['k'] });
    service.answer(({ command, body }) =>
      command === 'get_group_info' && body.GroupIdList.includes('a') && body.ResponseFilter.AppDefinedDataFilter_Group
        ? fail(10_018)
        : undefined,
    );
    const { counts, failures } = await service.run();
    expect(counts).toMatchObject({ read: 2, failed: 1 });
    expect(failures).toMatchObject([
      { groupId: 'a', message: expect.stringMatching(/too large: 10018(?!.*refuses one)/) },
    ]);
  });
});

describe('answers that are merely odd', () => {
  test.each([301, 302, 303, 307, 308])('a redirect (%i) is refused at once, with its target', async (status) => {
    const service = await start({ Public: ['a'] });
    service.answer((_, __, response) => {
      response.writeHead(status, { location: 'https://elsewhere.example/login?usersig=secret' }).end();
      return 'answered';
    });
    const said = await service.ask();
    expect(said).toMatch(/redirects to https:\/\/elsewhere\.example\/login \(HTTP/);
    expect(said).not.toContain('secret');
    expect(service.asked).toHaveLength(1);
  });

  test('what is longer than a group holds costs itself only, and the next run finds nothing to mend', async () => {
    const service = await start({ Public: ['a'] });
    const long = { Introduction: 'x'.repeat(70_000), Owner_Account: 'o'.repeat(5_000), Type: 't'.repeat(5_000) };
    const AppDefinedData = ['y'.repeat(5_000), 'fits'].map((Value, n) => ({ Key: `k${n}`, Value }));
    service.answer(({ command, body }) =>
      command === 'get_group_info'
        ? { ...FINE, GroupInfo: body.GroupIdList.map((id) => described(id, { ...long, AppDefinedData })) }
        : undefined,
    );
    expect((await service.run()).counts).toMatchObject({ mended: 1 });
    expect(service.events()[0]?.data.changed).toMatchObject({ name: 'name of a', customFields: { k1: 'fits' } });
    expect((await service.run()).counts).toMatchObject({ mended: 0, inStep: 1 });
  });

  test('of more custom fields than a group holds so many are read, and the next run finds nothing to mend', async () => {
    const service = await start({ Public: ['a'] });
    const AppDefinedData = Array.from({ length: 60 }, (_, n) => ({ Key: `k${n}`, Value: 'v' }));
    let turns = 0;
    service.answer((asked) => {
      const inTurn = turns++ % 2 === 0 ? AppDefinedData : AppDefinedData.toReversed();
      return isList(asked) ? undefined : { ...FINE, GroupInfo: [described('a', { AppDefinedData: inTurn })] };
    });
    expect((await service.run()).counts).toMatchObject({ mended: 1 });
    expect(Object.keys(service.events()[0]?.data.changed.customFields ?? {})).toHaveLength(50);
    for (let run = 0; run < 2; run++) expect((await service.run()).counts).toMatchObject({ mended: 0, inStep: 1 });
  });

  test('null and odd types cost themselves only', async () => {
    const service = await start({ Public: ['a'] });
    const odd = {
      Introduction: null,
      Notification: 7,
      Owner_Account: {},
      AppDefinedData: [null, { Key: 'k', Value: 'v' }],
      Type: null,
    };
    service.answer(({ command, body }) => {
      if (command === 'get_group_info')
        return { ErrorCode: 0, GroupInfo: [null, ...body.GroupIdList.map((id) => described(id, odd))] };
      const GroupIdList = body.GroupType === 'Public' ? [{ GroupId: 'a' }, null, { GroupId: 7 }] : null;
      return { ActionStatus: 'OK', ErrorInfo: null, ErrorCode: 0, TotalCount: null, GroupIdList, Next: null };
    });
    expect((await service.run()).counts).toMatchObject({ read: 1, failed: 0 });
    expect(service.events()).toMatchObject([
      { subject: 'a', data: { groupType: '', changed: { name: 'name of a', faceUrl: '', customFields: { k: 'v' } } } },
    ]);
    expect(service.events()[0]?.data.changed).not.toHaveProperty('introduction');
  });

  test('a reason of any length is told by how it begins', async () => {
    const service = await start({ Public: ['a'] });
    const why = { ErrorCode: 10_007, ErrorInfo: `begins ${'x'.repeat(100_000)}` };
    service.answer((asked) => (isList(asked) ? undefined : { ...FINE, GroupInfo: [{ GroupId: 'a', ...why }] }));
    const [failure] = (await service.run()).failures;
    expect(failure?.message).toMatch(/10007 begins x+/);
    expect(failure?.message.length).toBeLessThan(1_000);
  });

  test('an empty type is none, and the next run finds nothing to mend', async () => {
    const service = await start({ Public: ['a'] });
    service.answer(({ command, body }) =>
      command === 'get_group_info'
        ? { ...FINE, GroupInfo: body.GroupIdList.map((id) => described(id, { Type: '' })) }
        : undefined,
    );
    expect((await service.run()).counts).toMatchObject({ mended: 1 });
    expect((await service.run()).counts).toMatchObject({ mended: 0, inStep: 1 });
  });

  test('raw control characters in a text cost nothing, and bytes that are no UTF-8 the one group that they are of', async () => {
    const service = await start({ Public: ['a', 'b', 'c'] });
    service.answer(({ command, body }, _, response) => {
      if (command !== 'get_group_info') return undefined;
      const ofOne = (id: string) => described(id, { Notification: id === 'a' ? 'one§two' : id === 'b' ? '¶' : '' });
      const answer = JSON.stringify({ ...FINE, GroupInfo: body.GroupIdList.map(ofOne) }).replace('§', '\n');
      response
        .writeHead(200)
        .end(
          Buffer.concat(
            answer.split('¶').flatMap((part, at) => [Buffer.from(at > 0 ? [0xe7, 0xbe] : []), Buffer.from(part)]),
          ),
        );
      return 'answered';
    });
    const run = await service.run();
    expect(run.counts).toMatchObject({ read: 2, failed: 1 });
    expect(run.failures).toMatchObject([{ groupId: 'b', message: expect.stringMatching(/not UTF-8/) }]);
    expect(service.named()).toEqual(['a', 'c']);
    expect(service.events().find(({ subject }) => subject === 'a')?.data.changed.notification).toBe('one\ntwo');
  });

  test.each([
    ['?', ''],
    ['#', ''],
    ['/ ', ''],
    ['/a?', '/a'],
  ])('nothing but the path is taken of baseUrl: %j', async (end, kept) => {
    const service = await start({ Public: ['a'] });
    const below = await start({}, { baseUrl: service.origin + end });
    await below.run();
    const commands = ['get_appid_group_list', 'get_group_info'];
    expect(new Set(service.asked.map(({ path }) => path))).toEqual(
      new Set(commands.map((command) => `${kept}/v4/group_open_http_svc/${command}`)),
    );
  });

  test.each(['/tim-proxy', '/tim-proxy/', '/a/b//'])('the path of baseUrl is kept: %s', async (path) => {
    const service = await start({ Public: ['a'] });
    const below = await start({}, { baseUrl: service.origin + path });
    expect((await below.run()).counts.read).toBe(1);
    const kept = path.replace(/\/+$/, '');
    expect(new Set(service.asked.map(({ path }) => path.startsWith(`${kept}/v4/group_open_http_svc/`)))).toEqual(
      new Set([true]),
    );
  });

  test('of several addresses the next is asked when one cannot be reached', async () => {
    const service = await start({ Public: ['a'] });
    const both = await start({}, { baseUrl: ['http://127.0.0.1:1', service.origin] });
    expect(await both.ask()).toBe('a');
  });
});

test('a group whose change lies ahead of the service’s clock is no group in step: it fails, by name', async () => {
  const service = await start({ Public: ['ahead', 'fine'] });
  const database = openDatabase(service.journalFile);
  const journal = openJournal(database, systemClock, createSignals());
  const occurredAt = Date.now() + 594_000;
  const data = { groupType: 'Public', operator: 'm', occurredAt, occurredAtFrom: 'callback', receivedAt: 1 } as const;
  for (const groupId of ['ahead', 'gone']) {
    const forged = { ...data, groupId, changed: { name: 'forged' }, origin: {}, extra: {} };
    await journal.record(groupEvent('chat.group.info.changed', SDK_APP_ID, `id of ${groupId}`, forged));
  }
  journal.close();
  service.answer(({ command, body }) =>
    command === 'get_group_info'
      ? {
          ...FINE,
          GroupInfo: body.GroupIdList.map((id) => (id === 'gone' ? { GroupId: id, ...fail(10_010) } : described(id))),
        }
      : undefined,
  );
  const { code, said } = await service.reconcile();
  expect(code).toBe(1);
  expect(said).toMatch(/"ahead": the last change of name is ahead of the service’s clock/);
  expect(said).toMatch(/"gone": the last change of .*name.* is ahead/);
});

describe('everything is gone', () => {
  const ids = Array.from({ length: 30 }, (_, n) => `g${n}`);
  const without =
    (gone: readonly string[]): Script =>
    ({ command, body }) =>
      command === 'get_group_info'
        ? {
            ...FINE,
            GroupInfo: body.GroupIdList.map((id) =>
              gone.includes(id) ? { GroupId: id, ...fail(10_010) } : described(id),
            ),
          }
        : { ...FINE, TotalCount: 0, GroupIdList: [], Next: 0 };
  const destroyed = (events: CanonicalEvent[]) =>
    events.filter(({ type }) => type === 'chat.group.destroyed').map(({ subject }) => subject);

  test('and is not believed: none is destroyed, exit 1, and --allow-gone goes on', async () => {
    const service = await start({ Public: ids });
    await service.run();
    service.answer(without(ids));
    const dry = await service.reconcile('--dry-run');
    expect(dry.code, dry.said).toBe(0);
    expect(dry.said).toMatch(/no longer has 30 of 30 groups known: a run would stop here and destroy none/);
    expect(dry.said.match(/^gone at the service "g\d+"/gm)).toHaveLength(30);
    expect(dry.said).not.toMatch(/would be destroyed "/);
    const run = await service.reconcile();
    expect(run.code).toBe(1);
    expect(run.said).toMatch(/30 of 30 groups known[\s\S]*--allow-gone/);
    expect(destroyed(service.events())).toEqual([]);
    // The next run asks again, and is stopped again.
    expect((await service.run()).counts).toMatchObject({ withheld: 30, destroyed: 0 });
    expect(destroyed(service.events())).toEqual([]);
    expect((await service.reconcile('--allow-gone')).code).toBe(0);
    expect(destroyed(service.events()).sort()).toEqual([...ids].sort());
  }, 60_000);

  test('nor is it by a run that comes by itself, which says so in the metrics', async () => {
    const service = await start({ Public: ids }, {}, { every: '1h' });
    await service.reconcile();
    service.answer(without(ids.slice(5)));
    const bridge = await startBridgeProcess(service.home, withClock(2 * 3_600_000));
    const metrics = async () => (await fetch(`${bridge.adminUrl}/metrics`)).text();
    await expect.poll(metrics, { timeout: 60_000 }).toContain('bridge_reconcile_runs_total{outcome="withheld"} 1');
    expect(destroyed(service.events())).toEqual([]);
    await expect.poll(() => bridge.stdout() + bridge.stderr()).toMatch(/destroyed none of 25 groups/);
  }, 120_000);

  test('one of thirty is destroyed without a question', async () => {
    const service = await start({ Public: ids });
    await service.run();
    service.answer(without(['g7']));
    expect((await service.run()).counts).toMatchObject({ destroyed: 1, withheld: 0, failed: 0 });
    expect(destroyed(service.events())).toEqual(['g7']);
  });

  test('what is too much', () => {
    expect([mostGone('5%', 30), mostGone('5%', 1_000), mostGone('0%', 9), mostGone(3, 1_000)]).toEqual([20, 50, 20, 3]);
  });
});
