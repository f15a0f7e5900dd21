/** What one sender may send, and what those learn who are not let in. */
import { expect, onTestFinished, test } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';
import { createRateLimit } from '../../src/http/rate-limit.ts';
import { senderOf } from '../../src/intake/address.ts';
import { receiverSettings } from '../../src/intake/context.ts';
import { toAddressList } from '../../src/model/address.ts';
import { search } from '../support/callbacks.ts';
import { OK, SIGN, signed, startReceiver } from './receiver.testbed.ts';

const TRUSTED = { proxies: toAddressList(['127.0.0.1']) };
const from = (address: string) => ({ headers: { 'x-forwarded-for': address } });

async function start(...given: Parameters<typeof startReceiver>) {
  const receiver = await startReceiver(...given);
  onTestFinished(() => receiver.close());
  return receiver;
}

test('who sends more than its share is answered 429 until the window ends; others are served', async () => {
  const at = { elapsed: 0 };
  const receiver = await start(
    { ...TRUSTED, rate: { perSecond: 1, local: false } },
    { clock: { now: Date.now, elapsed: () => at.elapsed, sleep: async () => {} } },
  );
  for (let n = 0; n < 10; n++) expect((await receiver.post(from('192.0.2.1'))).status).toBe(200);
  const refused = await receiver.post(from('192.0.2.1'));
  expect(refused).toEqual({
    status: 429,
    json: { ActionStatus: 'FAIL', ErrorInfo: 'more than 1 callbacks a second came from this address', ErrorCode: 429 },
  });
  expect(receiver.answered.at(-1)).toMatchObject({ outcome: 'refused', fault: { code: 'rate-limited' } });
  expect((await receiver.post(from('192.0.2.2'))).status).toBe(200);
  // This machine is no stranger.
  for (let n = 0; n < 20; n++) expect((await receiver.post()).status).toBe(200);
  at.elapsed += 10_000;
  expect((await receiver.post(from('192.0.2.1'))).status).toBe(200);
});

test('a flood from ten thousands of addresses takes the place of nobody who has not sent yet', () => {
  const limit = createRateLimit({ elapsed: () => 0 }, 500, 10_000);
  for (let n = 0; n < 50_000; n++) limit.take(`2001:db8:${n.toString(16)}:0`);
  expect(limit.take('192.0.2.1')).toBe(true);
});

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8:1:2:ffff::', '2001:db8:1:2'],
  ['2001:db8::5', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
  // As a PROXY header of version 2 has it, and other spellings of one address.
  ['0:0:0:0:0:ffff:c000:201', '192.0.2.1'],
  ['::FFFF:c000:201', '192.0.2.1'],
  ['2001:0DB8::1', '2001:db8:0:0'],
  ['fe80::1%eth0', 'fe80:0:0:0'],
])('%s counts as %s', (caller, sender) => {
  expect(senderOf(caller)).toBe(sender);
});

test('without tokens there is a limit, unless it is switched off; with tokens there is one when it is asked for', () => {
  const rateOf = (app: object, receiver: object) =>
    receiverSettings(
      configSchema.parse({ app: { sdkAppId: 1, ...app }, receiver, connectors: { f: { kind: 'file', path: 'x' } } }),
    ).rate;
  const callbackTokens = ['token'];
  expect(rateOf({}, {})).toEqual({ perSecond: 1_000, local: false });
  expect(rateOf({}, { rateLimit: false })).toBeUndefined();
  expect(rateOf({ callbackTokens }, {})).toBeUndefined();
  expect(rateOf({ callbackTokens }, { rateLimit: { perSecond: 5 } })).toEqual({ perSecond: 5, local: true });
});

test('who has no Sign learns neither whose app this is nor what is set', async () => {
  const receiver = await start({ sign: SIGN });
  const [right, wrong] = await Promise.all([
    receiver.post(),
    receiver.post({ search: search({ SdkAppid: '1400000009' }) }),
  ]);
  expect(right).toEqual(wrong);
  expect(right).toMatchObject({ status: 401, json: { ErrorInfo: 'Sign is missing in the query' } });
  expect(await receiver.post({ search: signed({ SdkAppid: '1400000009' }) })).toMatchObject({
    status: 403,
    json: { ErrorInfo: 'SdkAppid is not that of this app' },
  });
  expect(receiver.answered.at(-1)?.fault?.suggestion).toMatch(/app\.sdkAppId/);
  expect(await receiver.post({ search: signed() })).toEqual({ status: 200, json: OK });
});
