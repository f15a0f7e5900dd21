import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CORPUS } from '../fuzz/corpus.ts';
import { complaintAbout } from '../fuzz/oracle.ts';
import { fuzzRequest } from '../fuzz/requests.ts';
import { complaintAboutLog, complaintAboutSmuggling, judge, judgeCorpus, recordedGroups } from '../fuzz/session.ts';
import { type BridgeHome, type BridgeProcess, bridgeHome, spawnBridge } from '../support/bridge.process.ts';
import { body, search } from '../support/callbacks.ts';

/** More of it: npm run test:fuzz. */
const RUNS = 1_500;

describe.each([
  ['without authentication', {}],
  ['with authentication', { app: { sdkAppId: '1400701118', callbackTokens: ['xxxxyyyy'] } }],
])('%s, whatever is sent gets one of the documented answers', (mode, more) => {
  let home: BridgeHome;
  let bridge: BridgeProcess;
  let port: number;
  beforeAll(async () => {
    home = bridgeHome((folder) => ({ file: { kind: 'file', path: join(folder, 'events.ndjson') } }), more);
    bridge = await spawnBridge(home);
    port = Number(new URL(bridge.url).port);
  });
  afterAll(async () => {
    bridge.child.kill('SIGKILL');
    home.remove();
  });

  if (mode === 'without authentication') {
    test.each(CORPUS.map((entry) => [entry.name, entry] as const))('%s', async (_, entry) => {
      expect((await judgeCorpus(port, entry)).complaint).toBeUndefined();
    });
  }

  test(`${RUNS} odd requests`, async () => {
    await fc.assert(
      fc.asyncProperty(fuzzRequest, async (request) => {
        expect((await judge(port, request)).complaint).toBeUndefined();
      }),
      { numRuns: RUNS },
    );
  });

  test('and it is unharmed: the next callback is recorded, nothing hidden was, nothing alarming is in the log', async () => {
    const answer = await bridge.post({ search: search(), body: body({ GroupId: '@TGS#LAST' }) });
    expect(answer.status).toBe(mode === 'without authentication' ? 200 : 401);
    if (answer.status === 200) {
      const file = join(home.folder, 'events.ndjson');
      await expect.poll(() => recordedGroups(file).has('@TGS#LAST'), { timeout: 10_000 }).toBe(true);
      const groups = recordedGroups(file);
      for (const answered of ['C1', 'C2', 'C3', 'C4', 'C5', 'C7', 'C13']) expect(groups).toContain(`@TGS#${answered}`);
      expect(complaintAboutSmuggling(groups)).toBeUndefined();
    }
    expect(complaintAboutLog(bridge.stderr())).toBeUndefined();
    expect(await bridge.end('SIGTERM')).toBe(0);
  });
});

describe('the oracle complains of', () => {
  const json = { 'content-type': 'application/json' };
  const fail = (status: number, info: string, code = status) =>
    JSON.stringify({ ActionStatus: 'FAIL', ErrorInfo: info, ErrorCode: code });
  test.each([
    ['a 500', { status: 500, headers: json, body: fail(500, 'x') }],
    ['no JSON', { status: 400, headers: json, body: 'Bad Request' }],
    ['another content type', { status: 400, headers: {}, body: fail(400, 'x') }],
    ['another code', { status: 400, headers: json, body: fail(400, 'x', 500) }],
    [
      'OK with a failure’s status',
      { status: 400, headers: json, body: '{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}' },
    ],
    ['a key too many', { status: 400, headers: json, body: `${fail(400, 'x').slice(0, -1)},"stack":""}` }],
    ['a stack trace', { status: 503, headers: json, body: fail(503, 'x\n    at handler (receiver.ts:1:2)') }],
    ['an endless reason', { status: 400, headers: json, body: fail(400, 'x'.repeat(5_000)) }],
    ['what runs here', { status: 400, headers: { ...json, server: 'node' }, body: fail(400, 'x') }],
  ])('%s', (_, answer) => {
    expect(complaintAbout(answer)).toBeDefined();
  });
});
