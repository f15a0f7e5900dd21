/** Connectors of one's own, as the documents and the example have them: they pass the suite, and a bridge runs them. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createClient } from '@redis/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ConnectorContract } from '../../connectors/contract.ts';
import { ownAt } from '../../connectors/own.ts';
import { connectorCases } from '../../src/kit/suite.ts';
import { whyNone } from '../servers/global-setup.ts';
import { missingPrerequisite } from '../servers/java.ts';
import { startRedis } from '../servers/redis.ts';
import { bridgeHome, inStep, runCommand, startBridgeProcess } from '../support/bridge.process.ts';
import { DOCUMENTED } from '../support/callbacks.ts';
import { runProgram } from '../support/program.ts';
import { blocksOf } from './documents.ts';
import { type Project, projectWithPackage } from './package.ts';

const folder = mkdtempSync(join(tmpdir(), 'own-connector-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('the connector of the how-to page', () => {
  const [block] = blocksOf('docs/how-to/own-connector.md').filter(({ language }) => language === 'js');
  const file = join(folder, 'lines.mjs');
  writeFileSync(file, block?.text ?? '');
  let files = 0;
  const cases = connectorCases({
    name: 'lines',
    connector: ownAt(file) as ConnectorContract<{ path: string }>,
    keeps: 'every event',
    async place() {
      const path = join(folder, `${++files}.ndjson`);
      return {
        options: { path },
        async readBack() {
          const lines = readOr('', path).split('\n').slice(0, -1);
          return lines.map((line) => {
            const { id, data } = JSON.parse(line);
            return { id, groupId: data.groupId, changed: data.changed, receipt: `${path}: ${id}` };
          });
        },
      };
    },
    unreachable: async () => ({ path: join(file, 'below-a-file') }),
    poison: 'a file takes any event',
  });
  test.each(cases)('$name', async ({ run }) => void (await run()));
});

function readOr(otherwise: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return otherwise;
  }
}

describe('examples/connector', () => {
  let redis: { readonly url: string; stop(): Promise<unknown> } | undefined;
  let project: Project;
  beforeAll(async () => {
    // Fetched as the other servers are.
    if ((await whyNone('Redis', await missingPrerequisite())) === undefined) {
      const { server, url } = await startRedis();
      redis = { url, stop: () => server.stop() };
    }
    project = await projectWithPackage(['@redis/client']);
    cpSync('examples/connector', project.folder, { recursive: true, filter: (path) => !path.includes('node_modules') });
  });
  afterAll(async () => {
    project.remove();
    await redis?.stop();
  });

  test('both pass the suite, as installed, in the test runner of Node', async ({ skip }) => {
    if (redis === undefined) return skip('no Redis');
    const { code, stdout } = await runProgram(process.execPath, ['--test', '--test-reporter=tap'], {
      cwd: project.folder,
      env: { REDIS_URL: redis.url },
    });
    const failed = stdout.split('\n').filter((line) => /^ *not ok/.test(line));
    expect({ code, failed }).toEqual({ code: 0, failed: [] });
    // Those that cannot be asked of events, of a poison that is none, and nothing else.
    const skipped = stdout.split('\n').flatMap((line) => / # SKIP (.*)/.exec(line)?.[1] ?? []);
    expect([...new Set(skipped)].sort()).toEqual([
      'Redis takes any group',
      'a descriptor takes any line',
      'it holds events',
    ]);
  });

  test('a bridge that knows nothing of them runs both: lines are printed, keys that are deleted come again', async ({
    skip,
  }) => {
    if (redis === undefined) return skip('no Redis');
    const home = bridgeHome(() => ({
      lines: { kind: resolve('examples/connector/stdout.mjs'), fd: 1 },
      groups: {
        kind: resolve('examples/connector/redis.mjs'),
        url: redis?.url,
        prefix: 'bridge:',
        verify: { every: '1s' },
      },
    }));
    const { code, stdout } = await runCommand(['check', '--connect', '--config', home.configFile]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/✓ server: answers: Redis \d/) });
    const bridge = await startBridgeProcess(home);
    expect(await bridge.post(DOCUMENTED)).toMatchObject({ status: 200 });
    await inStep(bridge);
    expect(bridge.stdout()).toMatch(/^\{.*"name":"MyFirstGroup".*\}$/m);
    const client = await createClient({ url: redis.url }).connect();
    const held = async () => JSON.parse((await client.get('bridge:@TGS#2J4SZEAEL')) ?? '{}').name;
    expect(await held()).toBe('MyFirstGroup');
    await client.del('bridge:@TGS#2J4SZEAEL');
    await expect.poll(held).toBe('MyFirstGroup');
    client.destroy();
    expect(await bridge.end('SIGTERM')).toBe(0);
    home.remove();
  });
});
