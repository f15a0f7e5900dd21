import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problems.ts';

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
    'c.yaml:5:37 connectors.copy.shape.fields.owner: name is at title, too: one of the two would be lost',
    'c.yaml:6:14 connectors.copy.shape.omit[0]: copies are merged by it: it cannot be left out',
  ]);
  expect(complaints(`${INDEX}    shape: { key: "{groupId}" } }\n`)).toEqual([
    'c.yaml:4:19 connectors.copy.shape.key: a connector of kind elasticsearch has no key: leave it out',
  ]);
  expect(complaints(`${INDEX}    shape: { feilds: {} } }\n`)).toEqual([
    'c.yaml:4:14 connectors.copy.shape.feilds: unknown key — did you mean "fields"?',
  ]);
});

test('what Elasticsearch keeps of a document itself is the place of nothing', () => {
  const at = 'c.yaml:4:';
  expect(
    complaints(
      `${INDEX}    shape: { fields: { name: _id, owner: _mine.owner }, versions: _source.v, constants: { _type: x } } }\n`,
    ),
  ).toEqual([
    `${at}30 connectors.copy.shape.fields.name: _id is reserved by Elasticsearch and not allowed in documents`,
    `${at}67 connectors.copy.shape.versions: _source is reserved by Elasticsearch and not allowed in documents`,
    `${at}98 connectors.copy.shape.constants._type: _type is reserved by Elasticsearch and not allowed in documents`,
  ]);
});

test('two connectors may share a place only in one shape', () => {
  const other = (shape: string) => `${INDEX}  }\n${INDEX.replace('copy', 'other')}    ${shape} }\n`;
  expect(complaints(other(''))).toEqual([]);
  expect(complaints(other('shape: { fields: { name: title } }'))).toEqual([
    expect.stringContaining('connectors.copy writes to the index i at http://h:9200/ already'),
  ]);
});

test('versions lie in one place, in an index of their own, where there is one', () => {
  const elsewhere = (more: string) => complaints(`${INDEX}    shape: { ${more} } }\n`);
  const at = 'c.yaml:4:29 connectors.copy.shape.versionsIndex: ';
  expect(elsewhere('versionsIndex: v, omit: [destroyed, groupId]')).toEqual([]);
  expect(elsewhere('versionsIndex: v, versions: _sync')).toEqual([
    `${at}another setting puts the versions into the documents: leave out one of the two`,
  ]);
  expect(elsewhere('versionsIndex: i')).toEqual([
    `${at}this is the index of the groups: name another, or use \`versions\` to keep them in its documents`,
  ]);
  expect(elsewhere('versionsIndex: Not An Index')).toEqual([expect.stringContaining(`${at}an index name is expected`)]);
  expect(elsewhere('versionsIndex: v }, content: events, batch: { maxEvents: 1')).toEqual([
    `${at}an event has no versions: leave it out`,
  ]);
  expect(
    complaints('  t: { kind: postgres, url: "postgresql://u@h/d", table: t, shape: { versionsIndex: v } }\n'),
  ).toEqual([
    'c.yaml:3:85 connectors.t.shape.versionsIndex: a connector of kind postgres has no versionsIndex: leave it out',
  ]);
  const other = (index: string) =>
    complaints(
      `${INDEX}    shape: { versionsIndex: v } }\n  other: { kind: elasticsearch, nodes: "http://h:9200", ${index} }\n`,
    );
  expect(other('index: v')).toEqual([
    'c.yaml:5:64 connectors.other.index: connectors.copy writes to the index v at http://h:9200/ already: choose another for one of the two',
  ]);
  expect(other('index: j, shape: { versionsIndex: v }')).toEqual([
    expect.stringMatching(/:5:.*other\.shape\.versionsIndex: connectors\.copy writes to the index v/),
  ]);
  expect(other('index: i, shape: { versionsIndex: v }')).toEqual([]);
});

test('a module is found beside the file that names it', () => {
  const result = load('  log: { kind: file, path: x, shape: { transform: ./mine/shape.mjs } }\n');
  expect(result.ok && result.config.connectors.log?.shape?.transform).toBe(join(folder, 'mine/shape.mjs'));
});
