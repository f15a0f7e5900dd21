/** Packs `@group-sync-bridge/consumer`: src/client with the parts of src/model that it needs, the schemas, and one dependency. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const { version, license, dependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
const manifest = {
  name: '@group-sync-bridge/consumer',
  version,
  description: 'Reads what group-sync-bridge writes: typed events, merged groups, changes from Kafka.',
  license,
  type: 'module',
  sideEffects: false,
  exports: {
    '.': { types: './client/index.d.ts', default: './client/index.js' },
    './schemas/*.json': './schemas/*.json',
    './asyncapi.json': './asyncapi.json',
    './package.json': './package.json',
  },
  engines: { node: '>=20' },
  dependencies: { zod: dependencies.zod },
  peerDependencies: { kafkajs: dependencies.kafkajs },
  peerDependenciesMeta: { kafkajs: { optional: true } },
};

const folder = mkdtempSync(join(tmpdir(), 'consumer-'));
const bridge = (...args: string[]): Buffer => execFileSync(process.execPath, ['src/cli.ts', ...args]);
try {
  const tsc = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.consumer.json', '--outDir', folder];
  execFileSync(process.execPath, tsc, { stdio: 'inherit' });
  mkdirSync(join(folder, 'schemas'));
  for (const name of ['event', 'group']) writeFileSync(join(folder, `schemas/${name}.json`), bridge('schema', name));
  writeFileSync(join(folder, 'asyncapi.json'), bridge('schema', 'asyncapi'));
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest, null, 2));
  cpSync('src/client/README.md', join(folder, 'README.md'));
  cpSync('LICENSE', join(folder, 'LICENSE'));
  execFileSync('npm', ['pack', folder, ...process.argv.slice(2)], { stdio: 'inherit' });
} finally {
  rmSync(folder, { recursive: true });
}
