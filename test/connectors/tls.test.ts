/** The files that `tls` of a connector names: read when a sink is opened, whatever they are. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { secureOptions } from '../../connectors/tls.ts';
import { createAuthority } from '../servers/certificates.ts';
import { never, unreachableBy } from './suite.ts';

async function files() {
  const folder = mkdtempSync(join(tmpdir(), 'tls-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const authority = await createAuthority('any');
  const { certificate, key } = await authority.issue();
  const written = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  return {
    pipe: join(folder, 'pipe'),
    tls: { certFile: written('cert.pem', certificate), keyFile: written('key.pem', key) },
    texts: { cert: certificate, key },
  };
}

test('are read', async () => {
  const { tls, texts } = await files();
  expect(await secureOptions(tls, 'connectors.under-test', [], never())).toEqual(texts);
});

test.each([
  ['caFile', 'zero'],
  ['certFile', 'zero'],
  ['keyFile', 'zero'],
  ['caFile', 'pipe'],
  ['caFile', 'none'],
] as const)(
  'that are endless, silent or not there are told with the setting: %s, %s',
  async (key, odd) => {
    const { tls, pipe } = await files();
    if (odd === 'pipe') spawnSync('mkfifo', [pipe]);
    const file = odd === 'zero' ? '/dev/zero' : pipe;
    const given = { ...tls, [key]: file };
    const begun = performance.now();
    expect(await unreachableBy(() => secureOptions(given, 'connectors.under-test', [], never()))).toMatchObject({
      code: 'destination-misconfigured',
      path: `connectors.under-test.tls.${key}`,
      message: expect.stringContaining(`${file} cannot be used: `),
    });
    expect(performance.now() - begun).toBeLessThan(10_000);
  },
  20_000,
);
