/** The connector that CONTRIBUTING.md works through is compiled, listed and run as it stands there. */
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { runProgram } from '../support/program.ts';

const blocks = [...readFileSync('CONTRIBUTING.md', 'utf8').matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(
  ([, block = '']) => block,
);

/** A tree beside this one that differs from it in what the document adds. */
const tree = mkdtempSync(join(tmpdir(), 'contributed-'));
afterAll(() => rmSync(tree, { recursive: true }));
for (const folder of ['connectors/post', 'test/connectors']) mkdirSync(join(tree, folder), { recursive: true });
for (const path of ['src', 'node_modules', 'package.json', 'test/connectors/suite.ts', ...globSync('connectors/*.ts')])
  symlinkSync(resolve(path), join(tree, path));
for (const block of blocks) {
  const [, file] = /^\/\/ (\S+\.ts)\n/.exec(block) ?? [];
  if (file !== undefined) writeFileSync(join(tree, file), block);
}

test('the connector and its test compile', async () => {
  const options = { ...JSON.parse(readFileSync('tsconfig.json', 'utf8')).compilerOptions, typeRoots: [] };
  options.typeRoots = [resolve('node_modules/@types')];
  writeFileSync(
    join(tree, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: options,
      files: ['connectors/post/connector.ts', 'test/connectors/post.test.ts'],
    }),
  );
  const { code, stdout } = await runProgram(process.execPath, [
    ...['node_modules/typescript/bin/tsc', '-p', tree, '--pretty', 'false'],
  ]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
});

test('its line in the list is that of the others and itself', () => {
  const [, listed = ''] = /^export const connectors = \[(.*)\] as const;$/m.exec(
    readFileSync('connectors/index.ts', 'utf8'),
  ) ?? [''];
  expect(blocks).toContain(`export const connectors = [${listed}, post] as const;\n`);
});

// Registers the suite's tests here.
await import(join(tree, 'test/connectors/post.test.ts'));
