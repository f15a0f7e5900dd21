import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { formatProblem, loadConfig } from '../../src/config/load.ts';

const folder = mkdtempSync(join(tmpdir(), 'shape-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function load(connectors: string) {
  writeFileSync(join(folder, 'c.yaml'), `app: { sdkAppId: 1 }\nconnectors:\n${connectors}`);
  return loadConfig(join(folder, 'c.yaml'), {});
}

function complaints(connectors: string): string[] {
  const result = load(connectors);
  return result.ok ? [] : result.problems.map((one) => formatProblem(one).replace(`${folder}/`, ''));
}

const INDEX = '  copy: { kind: elasticsearch, nodes: "http://h:9200", index: i,\n';

test('a shape that would lose something is told at its line', () => {
  expect(
    complaints(`${INDEX}    shape: {\n      fields: { name: title, owner: title.by },\n      omit: [versions] } }\n`),
  ).toEqual([
    'c.yaml:5:37 connectors.copy.shape.fields.owner: name lies at title, too: one of the two would be lost',
    'c.yaml:6:14 connectors.copy.shape.omit[0]: copies are merged by it, so that it cannot be left out',
  ]);
  expect(complaints(`${INDEX}    shape: { key: "{groupId}" } }\n`)).toEqual([
    'c.yaml:4:19 connectors.copy.shape.key: what a connector of kind elasticsearch writes has no key of its own: leave it out',
  ]);
  expect(complaints(`${INDEX}    shape: { feilds: {} } }\n`)).toEqual([
    'c.yaml:4:14 connectors.copy.shape.feilds: unknown key — did you mean "fields"?',
  ]);
});

test('two connectors may share a place only in one shape', () => {
  const other = (shape: string) => `${INDEX}  }\n${INDEX.replace('copy', 'other')}    ${shape} }\n`;
  expect(complaints(other(''))).toEqual([]);
  expect(complaints(other('shape: { fields: { name: title } }'))).toEqual([
    expect.stringContaining('connectors.copy writes to the index i at http://h:9200/ already'),
  ]);
});

test('a module is found beside the file that names it', () => {
  const result = load('  log: { kind: file, path: x, shape: { transform: ./mine/shape.mjs } }\n');
  expect(result.ok && result.config.connectors.log?.shape?.transform).toBe(join(folder, 'mine/shape.mjs'));
});
