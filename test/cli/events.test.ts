/** What was recorded, by the command line: groups, one group, events by filters, one event to each copy, the quarantine. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { stringify } from 'yaml';
import { isoTime } from '../../src/cli/options.ts';
import { signOf } from '../../src/intake/authentication.ts';
import type { CanonicalEvent } from '../../src/model/event.ts';
import { freePort } from '../servers/port.ts';
import { type BridgeHome, type BridgeProcess, bridgeHome, runCommand, spawnBridge } from '../support/bridge.process.ts';
import { body, OK, search } from '../support/callbacks.ts';
import { runProgram } from '../support/program.ts';

const TOKEN = 'xxxxyyyy';
const DOWN = 'http://127.0.0.1:1';
const signed = (more: Record<string, string>): string => {
  const RequestTime = String(Math.floor(Date.now() / 1000));
  return search({ Sign: signOf(TOKEN, RequestTime), RequestTime, ...more });
};

let home: BridgeHome;
let bridge: BridgeProcess;
beforeAll(async () => {
  home = bridgeHome(
    (folder) => ({
      audit: { kind: 'file', path: join(folder, 'events.ndjson') },
      renamed: { kind: 'file', path: join(folder, 'renamed.ndjson'), filter: { groupTypes: ['Private'] } },
      down: { kind: 'elasticsearch', nodes: [DOWN], index: 'none' },
    }),
    { app: { sdkAppId: '1400701118', callbackTokens: [TOKEN] } },
  );
  bridge = await spawnBridge(home);
  const post = async (RequestID: string, fields: Record<string, unknown>) =>
    expect(await bridge.post({ search: signed({ RequestID }), body: body({ Type: 'Public', ...fields }) })).toEqual(OK);
  for (let n = 0; n < 12; n++)
    await post(`r-${n}`, { GroupId: `@TGS#G${n}`, Name: `name ${n}`, Operator_Account: n % 2 ? 'odd' : 'even' });
  await post('r-notice', {
    GroupId: '@TGS#NOTICE',
    Name: undefined,
    Notification: 'read "me"',
    Operator_Account: 'odd',
  });
  expect(await bridge.post({ search: signed({}), body: body({ Name: 7 }) })).toEqual(OK);
});
afterAll(async () => {
  await bridge.end('SIGTERM');
  home.remove();
});

const run = (...args: string[]) => runCommand([...args, '--config', home.configFile, '--admin', bridge.adminUrl]);
interface Listed {
  readonly events: { seq: number; event: CanonicalEvent }[];
  readonly next?: number;
}
const events = async (...args: string[]): Promise<Listed> =>
  JSON.parse((await run('events', '--json', ...args)).stdout);

test('a command needs none of the secrets that the bridge was started with, and what it prints as JSON can be piped', async () => {
  const file = join(home.folder, 'without-secrets.yaml');
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of the YAML file, which is not set
  const secret = '${SUCH_A_SECRET_IS_NOT_SET}';
  const config = {
    app: { sdkAppId: secret, callbackTokens: [secret] },
    admin: { port: Number(new URL(bridge.adminUrl).port) },
    connectors: { audit: { kind: 'kafka', password: secret } },
  };
  writeFileSync(file, stringify(config));
  const status = await runProgram('npm', ['run', '-s', 'bridge', '--', 'status', '--json', '--config', file]);
  expect(status).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(status.stdout)).toMatchObject({ journal: { head: 13 } });
  expect(await runCommand(['dead-letters', 'list', 'audit', '--config', file])).toMatchObject({ code: 0 });
  writeFileSync(file, stringify({ ...config, admin: { ...config.admin, token: secret } }));
  const { code, stderr } = await runCommand(['status', '--config', file]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/ admin\.token: .*\n1 problem in /);
});

test.each(['Name', 'notice', 'customFields'])(
  'a field that events do not have, such as %s, is refused',
  async (field) => {
    const { code, stderr } = await run('events', '--field', field);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringMatching(/^field: one of name, .*, destroyed is expected, or customFields\. and a key\n$/),
    });
  },
);

describe('groups', () => {
  test('are listed with their number, a page at a time, and found by a part of an id or a name', async () => {
    const first = await run('groups', 'list', '--limit', '5');
    expect(first.stdout).toMatch(
      /^group +name .*\n@TGS#G0 +name 0 +Public +\S+ +even\n[\s\S]*\n5 of 13; more: --after '0@TGS#G2'\n$/,
    );
    const rest = await run('groups', 'list', '--after', '0@TGS#G2', '--json');
    expect(JSON.parse(rest.stdout)).toMatchObject({ total: 13, groups: { length: 8 } });
    // An id is no place: taken for none, it would begin anew.
    expect(await run('groups', 'list', '--after', '@TGS#G2')).toMatchObject({
      code: 2,
      stderr: 'after: the place given by the previous page is expected\n',
    });
    expect((await run('groups', 'list', 'notice')).stdout).toMatch(/@TGS#NOTICE.*\n1\n$/);
    expect((await run('groups', 'list', 'AME 7')).stdout).toMatch(/@TGS#G7 .*\n1\n$/);
  });

  test('one is shown with its copies and its events', async () => {
    await expect
      .poll(async () => (await run('group', '@TGS#NOTICE')).stdout)
      .toMatch(
        /notification +"read \\"me\\""[\s\S]*by +odd[\s\S]*audit +in-step[\s\S]*renamed +filtered[\s\S]*down +behind.*127\.0\.0\.1:1[\s\S]*13 .*info\.changed +@TGS#NOTICE/,
      );
    expect((await run('group', 'nobody')).code).toBe(2);
  });
});

describe('events', () => {
  test('by group or a part of its id, type, operator, field and time of receipt', async () => {
    const found = async (query: Record<string, string>): Promise<Listed> =>
      (await fetch(`${bridge.adminUrl}/api/events?${new URLSearchParams(query)}`)).json() as Promise<Listed>;
    const seqs = async (query: Record<string, string>) => (await found(query)).events.map(({ seq }) => seq);
    expect(await seqs({ group: '@TGS#NOTICE' })).toEqual([13]);
    expect(await seqs({ group: 'tice' })).toEqual([13]);
    expect(await seqs({ field: 'notification' })).toEqual([13]);
    expect(await seqs({ operator: 'odd', field: 'name' })).toEqual([12, 10, 8, 6, 4, 2]);
    expect(await seqs({ type: 'chat.group.created' })).toEqual([]);
    expect(await seqs({ type: 'chat.group.info.changed', group: 'tgs#g1' })).toEqual([12, 11, 2]);
    expect(await seqs({ after: '11' })).toEqual([13, 12]);
    const { events: all } = await found({});
    const at = all.find(({ seq }) => seq === 6)?.event.data.receivedAt ?? 0;
    const isSince = ({ event }: Listed['events'][number]): boolean => event.data.receivedAt >= at;
    expect((await found({ since: String(at) })).events).toEqual(all.filter(isSince));
    expect((await found({ until: String(at) })).events).toEqual(all.filter((one) => !isSince(one)));
    expect((await events('--since', '99999d')).events).toEqual(all);
    expect(await events('--operator', 'odd', '--type', 'info.changed', '--since', '1h', '--limit', '2')).toMatchObject({
      events: [{ seq: 13 }, { seq: 12 }],
      next: 12,
    });
    expect((await run('events', '--operator', 'odd', '--before', '12', '--limit', '1')).stdout).toMatch(
      /^seq .*\n10 +\S+ +info\.changed +@TGS#G9 +odd +name="name 9"\n1; more: --before 10\n$/,
    );
    expect((await run('events', '--limit', '2')).stdout).toMatch(/\n2 of 13; more: --before 12\n$/);
    expect((await run('events', '--type', 'renamed')).stderr).toMatch(/info\.changed, created/);
  });

  test('one is followed to each copy, by its id, its seq or the RequestID of its callback', async () => {
    const [
      {
        event: { id },
      } = { event: { id: '' } },
    ] = (await events('--group', '@TGS#NOTICE')).events;
    for (const name of [id, '13', 'r-notice']) {
      await expect
        .poll(async () => (await run('event', name)).stdout)
        .toMatch(
          new RegExp(
            `id +${id}\\nseq +13\\n[\\s\\S]*RequestID +r-notice[\\s\\S]*audit +delivered +\\S+events\\.ndjson:\\d+ +\\d{4}-\\S+ +1\\nrenamed +filtered\\ndown +behind .*cannot be reached`,
          ),
        );
    }
    const { copies } = JSON.parse((await run('event', id, '--json')).stdout);
    expect(copies[0]).toMatchObject({ connector: 'audit', standing: 'delivered', attempts: 1, at: expect.any(Number) });
    expect(await run('event', 'none')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/no event has this id/),
    });
  });

  test('tail prints those that are recorded from now on, a line each', async () => {
    const args = ['tail', '--json', '--field', 'introduction', '--config', home.configFile, '--admin', bridge.adminUrl];
    const child = spawn(process.execPath, ['src/cli.ts', ...args]);
    let said = '';
    child.stdout.on('data', (chunk) => {
      said += chunk;
    });
    const told = async (n: number) => {
      expect(await bridge.post({ search: signed({}), body: body({ Introduction: `told ${n}` }) })).toEqual(OK);
      return said;
    };
    let n = 0;
    await expect.poll(() => told(n++), { interval: 300, timeout: 20_000 }).toMatch(/^\{"seq":\d+,"event":.*\n/);
    const shown = said
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).event.data.changed.introduction);
    expect(shown).toEqual(shown.map((_, at) => `told ${Number(shown[0]?.slice(5)) + at}`));
    child.kill('SIGINT');
    expect(await once(child, 'close')).toEqual([0, null]);
  });

  test('tail goes on over a restart of the bridge, and says once that it is away', async () => {
    const own = bridgeHome((folder) => ({ audit: { kind: 'file', path: join(folder, 'events.ndjson') } }), {
      admin: { port: await freePort() },
    });
    onTestFinished(own.remove);
    const first = await spawnBridge(own);
    const child = spawn(process.execPath, ['src/cli.ts', 'tail', '--config', own.configFile]);
    onTestFinished(() => void child.kill('SIGKILL'));
    let [said, complained] = ['', ''];
    child.stdout.on('data', (chunk) => (said += chunk));
    child.stderr.on('data', (chunk) => (complained += chunk));
    const told = async (to: BridgeProcess, Name: string) => {
      expect(await to.post({ search: search(), body: body({ Name, EventTime: Date.now() }) })).toEqual(OK);
      return said;
    };
    await expect.poll(() => told(first, 'before'), { interval: 300, timeout: 20_000 }).toContain('name="before"');
    await first.end('SIGTERM');
    await expect.poll(() => complained, { timeout: 20_000 }).toMatch(/^no bridge answers at .*\n$/);
    const second = await spawnBridge(own);
    await told(second, 'after');
    await expect.poll(() => said, { timeout: 20_000 }).toContain('name="after"');
    child.kill('SIGINT');
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(complained.trim().split('\n')).toHaveLength(1);
    await second.end('SIGTERM');
  }, 60_000);
});

test('a callback of the quarantine is shown whole', async () => {
  const shown = await run('quarantine', 'show', '1');
  expect(shown.stdout).toContain(`\n\n${body({ Name: 7 })}\n`);
  expect((await run('quarantine', 'list', '--after', '1')).stdout).toBe('the quarantine has none after 1\n');
  expect(await run('quarantine', 'show', '2')).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/no callback 2/),
  });
});

describe('what is named and is not there', () => {
  test.each([
    [['dead-letters', 'retry', 'audit', '99'], 'audit has no such dead letter'],
    [['dead-letters', 'retry', 'audit', '--group', 'nobody'], 'audit has no such dead letter'],
    [['dead-letters', 'discard', 'audit', '99'], 'nothing was discarded: audit has no such dead letter'],
    [['quarantine', 'discard', '99'], 'nothing was discarded: no such callback is in the quarantine'],
    [
      ['quarantine', 'discard', '1', '99', '99'],
      'discarded 1 callback of the quarantine; 1 of those named was not found',
    ],
  ])('%s exits with 1', async (args, says) => {
    expect(await run(...args)).toMatchObject({ code: 1, stdout: `${says}\n` });
  });

  test('nothing to try again, and nothing to discard with --all, is well', async () => {
    expect(await run('dead-letters', 'retry', 'audit')).toMatchObject({
      code: 0,
      stdout: 'audit has no dead letters\n',
    });
    expect(await run('dead-letters', 'discard', 'audit', '--all')).toMatchObject({
      code: 0,
      stdout: 'audit has no dead letters\n',
    });
    expect(await run('quarantine', 'discard', '--all')).toMatchObject({ code: 0 });
  });
});

test.each([
  ['2026-11-27T04:00', '2026-11-27T04:00:00Z'],
  ['2026-11-27 04:00:30.5', '2026-11-27T04:00:30.5Z'],
  ['2026-11-27', '2026-11-27T00:00:00Z'],
  ['2026-11-27T04:00+09:00', '2026-11-26T19:00:00Z'],
])('a time without a zone is in UTC, as all that is printed: %s', (given, meant) => {
  vi.stubEnv('TZ', 'Asia/Tokyo');
  onTestFinished(() => void vi.unstubAllEnvs());
  expect(isoTime(given)).toBe(Date.parse(meant));
});

test('what an argument cannot mean is refused, and not taken for something else', async () => {
  for (const time of ['2026-02-30', '2026-04-31T10:00:00+09:00', '12'])
    expect(await run('events', '--since', time), time).toMatchObject({ code: 2, stdout: '' });
  expect(await run('replay', 'audit', '--from', '2026-02-30')).toMatchObject({ code: 2, stdout: '' });
  for (const time of ['2024-02-29T23:00Z', '2h'])
    expect(await run('events', '--until', time), time).toMatchObject({ code: 0 });
  for (const args of [['replay', '--from', 'groups'], ['dead-letters', 'list'], ['event']])
    expect(await run(...args, ''), args[0]).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^(name|id): at least 1/),
    });
  for (const more of ['/bridge', '/?x=1'])
    expect(await runCommand(['status', '--admin', bridge.adminUrl + more]), more).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/without path/),
    });
  for (const to of [`${bridge.url}?x=1`, bridge.url.replace('//', '//u:p@')])
    expect(await runCommand(['send', '--count', '1', '--to', to]), to).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/without query and user/),
    });
  const withUser = bridge.adminUrl.replace('//', '//u:p@');
  expect(await runCommand(['status', '--admin', withUser])).toMatchObject({ code: 2 });
});

test('an ADMIN_TOKEN that can be none is told, and not shown', async () => {
  for (const token of ['secretsecret\nsecret', 'secretsecret中文secret', 'secret']) {
    const { code, stdout, stderr } = await runCommand(['status', '--admin', bridge.adminUrl], { ADMIN_TOKEN: token });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^ADMIN_TOKEN: at least 16 characters without spaces are expected/);
    expect(stderr).not.toContain('secret');
  }
  expect(await runCommand(['status', '--admin', bridge.adminUrl], { ADMIN_TOKEN: '' })).toMatchObject({ code: 0 });
});

test('what a command or a program asks for wrongly is told in one line, with its place', async () => {
  expect(await run('group', '')).toMatchObject({ code: 2, stderr: 'id: at least 1 character is expected\n' });
  const faultOf = async (path: string, init?: RequestInit): Promise<unknown> =>
    ((await (await fetch(`${bridge.adminUrl}/api/${path}`, init)).json()) as { fault: unknown }).fault;
  expect(await faultOf('group')).toEqual({ code: 'usage', message: 'id: it is missing' });
  expect(await faultOf('events?limit=x&before=0')).toEqual({
    code: 'usage',
    message: 'limit: a number is expected; before: more than 0 is expected',
  });
  // Left out, each of them would be answered with what was not asked for.
  for (const path of [
    'events?id=x',
    'groups?id=x',
    'group?id=x&id2=',
    'quarantine?x',
    'connectors/audit/dead-letters?x',
  ]) {
    expect(await faultOf(path)).toEqual({ code: 'usage', message: expect.stringMatching(/^unknown key "\w+"$/) });
  }
  const headers = { 'content-type': 'application/json' };
  const replay = { method: 'POST', headers, body: '{"from":"x"}' };
  expect(await faultOf('connectors/audit/replay', replay)).toEqual({
    code: 'usage',
    message: 'from: "beginning", "groups", {"seq": …} or {"time": …} is expected',
  });
  const forget = { method: 'POST', headers, body: '{"groupIds":[],"other":1}' };
  expect(await faultOf('groups/forget', forget)).toEqual({
    code: 'usage',
    message: 'groupIds: at least 1 item is expected; unknown key "other"',
  });
});
