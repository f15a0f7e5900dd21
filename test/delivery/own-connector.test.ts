/** A connector that the bridge did not bring along, through everything that a person meets it in. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type BridgeProcess, bridgeHome, inStep, runCommand, startBridgeProcess } from '../support/bridge.process.ts';
import { body, search } from '../support/callbacks.ts';

/** Keeps each group in a file of its own; it is down while `down` is there, and takes no group that is called `refused`. */
const MODULE = `
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { differences, join, newGroup, repair, Unreachable, z } from 'group-sync-bridge/connector';

const fileOf = (folder, groupId) => folder + '/' + encodeURIComponent(groupId) + '.json';
const read = (file) => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined);

export default {
  kind: 'folder',
  summary: 'Keeps each group in a file.',
  options: z.strictObject({ folder: z.string().describe('Where the files are.') }),
  readsBack: true,
  holds: () => 'groups',
  places: ({ folder }) => [{ name: 'folder ' + folder, option: 'folder' }],
  async open({ folder }, { name }) {
    const ready = () => {
      const path = 'connectors.' + name + '.folder';
      if (existsSync(folder + '/down')) throw new Unreachable({ code: 'destination-unreachable', message: 'it is down', path, suggestion: 'wait' });
      mkdirSync(folder, { recursive: true });
    };
    ready();
    return {
      holds: 'groups',
      async put(states, how) {
        ready();
        return new Map(states.map((state) => {
          const file = fileOf(folder, state.groupId);
          const before = read(file) ?? newGroup(state.groupId);
          const after = how === 'join' ? join(before, state) : repair(before, state);
          if (after.name === 'refused') return [state.groupId, { kind: 'dead', fault: { code: 'event-refused', message: 'not this name' } }];
          if (after !== before && how !== 'compare') writeFileSync(file, JSON.stringify(after));
          return [state.groupId, { kind: after === before ? 'superseded' : 'delivered', receipt: file }];
        }));
      },
      async read(states) {
        return new Map(states.map((state) => {
          const where = fileOf(folder, state.groupId);
          const held = read(where);
          if (held === undefined) return [state.groupId, { status: 'missing', where }];
          const differs = differences(held, state);
          return [state.groupId, differs.length === 0 ? { status: 'in-step', where } : { status: 'differs', where, differs }];
        }));
      },
      async close() {},
    };
  },
  async *examine({ folder }) {
    yield { step: 'folder', state: 'well', says: folder + ' is looked at' };
  },
};
`;

const GROUP = '@TGS#OWN';
let occurredAt = Date.now();

const callNamed = (bridge: BridgeProcess, Name: string) =>
  bridge.post({ search: search(), body: body({ GroupId: GROUP, Name, EventTime: ++occurredAt }) });

interface Standing {
  readonly kind: string;
  readonly state: { readonly kind: string; readonly fault?: unknown };
  readonly deadLetters: number;
}

async function standing({ adminUrl }: BridgeProcess): Promise<Standing | undefined> {
  const { connectors } = (await (await fetch(`${adminUrl}/api/status`)).json()) as { connectors: Standing[] };
  return connectors[0];
}

async function ask({ adminUrl }: BridgeProcess, path: string, json?: object): Promise<unknown> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(json) };
  const response = await fetch(`${adminUrl}/api/${path}`, json && init);
  expect(response.ok, `${path}: ${response.status}`).toBe(true);
  return response.json();
}

test('it is checked, delivers, waits, has dead letters, is replayed, compared, reloaded and shown', async () => {
  const home = bridgeHome((folder) => ({ mine: { kind: './mine.mjs', folder: join(folder, 'groups') } }));
  const folder = join(home.folder, 'groups');
  const file = join(folder, `${encodeURIComponent(GROUP)}.json`);
  const held = (): unknown => existsSync(file) && JSON.parse(readFileSync(file, 'utf8')).name;
  writeFileSync(join(home.folder, 'mine.mjs'), MODULE);
  const checked = await runCommand(['check', '--connect', '--config', home.configFile]);
  expect(checked).toMatchObject({ code: 0, stdout: expect.stringContaining(`✓ folder: ${folder} is looked at`) });

  const bridge = await startBridgeProcess(home);
  await callNamed(bridge, 'first');
  await inStep(bridge);
  expect(held()).toBe('first');
  expect(await standing(bridge)).toMatchObject({ kind: './mine.mjs', state: { kind: 'running' } });
  const console = await (await fetch(`${bridge.adminUrl}/group?id=${encodeURIComponent(GROUP)}`)).text();
  expect(console).toContain('./mine.mjs');

  const down = join(folder, 'down');
  writeFileSync(down, '');
  await callNamed(bridge, 'second');
  const fault = {
    code: 'destination-unreachable',
    message: 'it is down',
    path: 'connectors.mine.folder',
    suggestion: 'wait',
  };
  await expect.poll(() => standing(bridge)).toMatchObject({ state: { kind: 'waiting', fault } });
  rmSync(down);
  await inStep(bridge);
  expect(held()).toBe('second');

  await callNamed(bridge, 'refused');
  await expect.poll(() => standing(bridge)).toMatchObject({ deadLetters: 1 });
  expect(await ask(bridge, 'connectors/mine/dead-letters')).toMatchObject({
    deadLetters: [{ fault: { code: 'event-refused', message: 'not this name' } }],
  });
  await callNamed(bridge, 'third');
  await ask(bridge, 'connectors/mine/dead-letters/retry', {});
  await inStep(bridge);

  rmSync(file);
  await ask(bridge, 'connectors/mine/replay', { from: 'groups' });
  await expect.poll(held).toBe('third');
  writeFileSync(file, readFileSync(file, 'utf8').replace('"third"', '"changed by hand"'));
  await ask(bridge, 'connectors/mine/compare', {});
  await expect.poll(held).toBe('third');

  const config = readFileSync(home.configFile, 'utf8');
  writeFileSync(join(home.folder, 'other.mjs'), MODULE);
  writeFileSync(home.configFile, config.replace('./mine.mjs', './other.mjs').replace('/groups', '/others'));
  expect(await ask(bridge, 'reload', {})).toMatchObject({ changed: ['mine'] });
  await callNamed(bridge, 'fourth');
  await inStep(bridge);
  expect(JSON.parse(readFileSync(file.replace('/groups/', '/others/'), 'utf8'))).toMatchObject({ name: 'fourth' });
  expect(await bridge.end('SIGTERM')).toBe(0);
  home.remove();
});

test('another place that its settings name is compared at once, although it cannot say which one it is', async () => {
  const home = bridgeHome((folder) => ({ mine: { kind: './mine.mjs', folder: join(folder, 'groups') } }));
  writeFileSync(join(home.folder, 'mine.mjs'), MODULE);
  const bridge = await startBridgeProcess(home);
  await callNamed(bridge, 'first');
  const verifiedAt = async () =>
    ((await standing(bridge)) as unknown as { copy: { verifiedAt?: number } }).copy.verifiedAt;
  await expect.poll(verifiedAt).toBeDefined();
  await inStep(bridge);
  writeFileSync(home.configFile, readFileSync(home.configFile, 'utf8').replace('/groups', '/others'));
  await ask(bridge, 'reload', {});
  const file = join(home.folder, 'others', `${encodeURIComponent(GROUP)}.json`);
  await expect.poll(() => existsSync(file), { timeout: 10_000 }).toBe(true);
  expect(await bridge.end('SIGTERM')).toBe(0);
  home.remove();
});

test('one whose examination never ends ends the doctor’s look at it, not the command', async () => {
  const home = bridgeHome(() => ({ mine: { kind: './mine.mjs', folder: 'groups' } }));
  const hanging = MODULE.replace(/async \*examine\([^)]*\) \{/, (begin) => `${begin} await new Promise(() => {});`);
  expect(hanging).not.toBe(MODULE);
  writeFileSync(join(home.folder, 'mine.mjs'), hanging);
  const checked = await runCommand(['check', '--connect', '--config', home.configFile]);
  expect(checked).toMatchObject({ code: 1, stdout: expect.stringContaining('no answer within 20 s') });
  home.remove();
});
