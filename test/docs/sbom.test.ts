/** What the published package is made of, as a bill of materials. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { runProgram } from '../support/program.ts';

interface Component {
  readonly name: string;
  readonly version: string;
  readonly hashes?: readonly { readonly alg: string }[];
}

test('npm run sbom prints CycloneDX: every run-time dependency with version and hash, and none of development', async () => {
  const { code, stdout, stderr } = await runProgram('npm', ['run', '--silent', 'sbom']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const { bomFormat, metadata, components } = JSON.parse(stdout) as {
    bomFormat: string;
    metadata: { component: Component };
    components: Component[];
  };
  const { version, dependencies, devDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    version: string;
    dependencies: Record<string, string>;
    devDependencies: Record<string, string>;
  };
  expect(bomFormat).toBe('CycloneDX');
  expect(metadata.component.version).toBe(version);
  const named = components.map(({ name }) => name);
  expect(named).toEqual(expect.arrayContaining(Object.keys(dependencies)));
  const both = ['@types/node'];
  const development = Object.keys(devDependencies).filter((name) => !both.includes(name));
  expect(named.filter((name) => development.includes(name))).toEqual([]);
  expect(components.filter(({ hashes }) => hashes?.[0]?.alg !== 'SHA-512')).toEqual([]);
});
