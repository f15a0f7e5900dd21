/** The first callback may be one of the console's own: it goes the way of all callbacks, and only while there is no other. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { bridgeHome, startBridgeProcess } from '../support/bridge.process.ts';

test('a sample is offered as long as nothing was recorded, signed and sent through the receiver', async () => {
  const home = bridgeHome((folder) => ({ file: { kind: 'file', path: join(folder, 'events.ndjson') } }), {
    app: { sdkAppId: '1400701118', callbackTokens: ['xxxxyyyy'] },
  });
  onTestFinished(home.remove);
  const bridge = await startBridgeProcess(home);
  const offered = async (): Promise<boolean> =>
    /action="\/actions\/sample"/.test(await (await fetch(bridge.adminUrl)).text());
  const send = async (headers: Record<string, string> = { 'sec-fetch-site': 'same-origin' }) => {
    const url = `${bridge.adminUrl}/actions/sample`;
    const { status, headers: sent } = await fetch(url, { method: 'POST', redirect: 'manual', headers });
    return [status, sent.get('location')];
  };
  expect(await offered()).toBe(true);
  expect(await send({ 'sec-fetch-site': 'cross-site' })).toEqual([403, null]);
  expect(await send()).toEqual([303, '/?notice=sample-sent']);
  const file = join(home.folder, 'events.ndjson');
  await expect.poll(() => existsSync(file) && readFileSync(file, 'utf8')).toMatch(/"subject":"@TGS#SAMPLE0"/);
  expect(await offered()).toBe(false);
  expect(await send()).toEqual([303, '/?notice=sample-too-late']);
  expect(await bridge.end('SIGTERM')).toBe(0);
});
