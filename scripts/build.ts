/** Makes `dist`, which the published package runs: JavaScript, types, and beside them whatever else lies under src. */
import { execFileSync } from 'node:child_process';
import { cpSync, globSync, rmSync } from 'node:fs';

// Files of an earlier build would be published, too.
rmSync('dist', { recursive: true, force: true });
// `npm run types` checks them, in CI and before it is published.
const tsc = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--noCheck'];
execFileSync(process.execPath, tsc, { stdio: 'inherit' });
for (const asset of globSync('src/**/*.*', { exclude: ['**/*.ts'] })) cpSync(asset, `dist/${asset}`);
