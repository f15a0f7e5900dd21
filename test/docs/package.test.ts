/** Readers import the built package, in a plain Node process. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toMessage } from '../../connectors/kafka/message.ts';
import { entryOf } from '../../src/model/entry.ts';
import { madeEvent } from '../support/events.ts';
import { mergedGroups } from '../support/histories.ts';
import { runProgram } from '../support/program.ts';
import { olderNode } from './node-versions.ts';
import { type Project, projectWithPackage } from './package.ts';

let project: Project;
beforeAll(async () => {
  project = await projectWithPackage([]);
});
afterAll(() => project.remove());

const SCRIPT = `
import { createGroupView, parseEvent, parseGroup } from 'group-sync-bridge/consumer';
const view = createGroupView();
for (const value of process.argv.slice(2)) {
  const parsed = parseEvent({ value: Buffer.from(value) });
  if (!parsed.ok) throw new Error(parsed.fault.message);
  view.apply(parsed.event);
}
console.log(JSON.stringify(Object.fromEntries(view.entries())));
`;

async function importIn(node: string): Promise<void> {
  writeFileSync(join(project.folder, 'reader.mjs'), SCRIPT);
  const events = [madeEvent(2), madeEvent(1), madeEvent(2)];
  const values = events.map((event) => String(toMessage(entryOf(1, event), 'structured').value));
  const { code, stdout, stderr } = await runProgram(node, ['reader.mjs', ...values], { cwd: project.folder });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout)).toEqual(Object.fromEntries(mergedGroups(events)));
}

describe('group-sync-bridge/consumer', () => {
  test('is imported by this Node, with zod alone beside it', () => importIn(process.execPath));

  test('and by an older one, from 20 on', async ({ skip }) => {
    const node = await olderNode();
    if (node === undefined) return skip('no Node from 20 on that is older than this one is on the path');
    await importIn(node);
  });

  test('imports zod and nothing else', () => {
    const packages = new Set<string>();
    const files = [join(project.folder, 'node_modules/group-sync-bridge/dist/src/client/index.js')];
    for (const file of files) {
      for (const [, name = ''] of readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?'([^']+)'/g)) {
        const path = join(dirname(file), name);
        if (!name.startsWith('.')) packages.add(name);
        else if (!files.includes(path)) files.push(path);
      }
    }
    expect([...packages].sort()).toEqual(['zod']);
    expect(files.length).toBeGreaterThan(5);
  });

  test('is the only way in', async () => {
    writeFileSync(join(project.folder, 'inside.mjs'), "import 'group-sync-bridge/dist/src/bridge.js';");
    const { stderr } = await runProgram(process.execPath, ['inside.mjs'], { cwd: project.folder });
    expect(stderr).toMatch(/ERR_PACKAGE_PATH_NOT_EXPORTED/);
  });

  test('is typed for a project that resolves as Node does, without types of Node', async () => {
    const options = { module: 'nodenext', strict: true, exactOptionalPropertyTypes: true, noEmit: true, types: [] };
    writeFileSync(
      join(project.folder, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: { ...options, target: 'es2022', lib: ['es2022', 'dom'] },
        files: ['reader.mts'],
      }),
    );
    const check = async (source: string) => {
      writeFileSync(join(project.folder, 'reader.mts'), source);
      const { code, stdout } = await runProgram(process.execPath, [
        ...['node_modules/typescript/bin/tsc', '-p', project.folder, '--pretty', 'false'],
      ]);
      return { code, stdout };
    };
    const source = `
import { createGroupView, type Group, type GroupEvent, parseEvent, parseGroup } from 'group-sync-bridge/consumer';
const parsed = parseEvent({ key: new Uint8Array(), value: null, headers: { a: undefined, b: ['x'] } });
if (parsed.ok) {
  const name: string | undefined = parsed.event.data.changed.name;
  const type: 'chat.group.created' | 'chat.group.destroyed' | 'chat.group.info.changed' | 'chat.group.info.read' | 'chat.group.owner.changed' = parsed.event.type;
  const event: GroupEvent = parsed.event;
  const group: Group = createGroupView().apply(event);
  void [name, type, group.versions];
} else {
  const code: \`message-\${string}\` = parsed.fault.code;
  void code;
}
const state = parseGroup({ value: '' });
if (state.ok) createGroupView({ onChange: (before, after) => void [before?.name, after.name] }).applyState(state);
`;
    expect(await check(source)).toEqual({ code: 0, stdout: '' });
    const { stdout } = await check(`${source}parsed.event.id; if (parsed.ok) parsed.event.data.nmae;`);
    expect(stdout).toMatch(/'event' does not exist on type/);
    expect(stdout).toMatch(/'nmae' does not exist/);
  });

  test('the types that it is made of are there', () => {
    const folder = join(project.folder, 'node_modules/group-sync-bridge/dist/src/client');
    const names = readdirSync(folder).filter((name) => name.endsWith('.js'));
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) expect(readdirSync(folder)).toContain(name.replace(/js$/, 'd.ts'));
  });
});
