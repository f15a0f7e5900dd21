/** A bridge on a machine whose clock is wrong. */
import { expect, onTestFinished, test } from 'vitest';
import { type BridgeHome, bridgeHome, startBridgeProcess, withClock } from '../support/bridge.process.ts';
import { body, search } from '../support/callbacks.ts';

const HOUR = 3_600_000;

function homeOf(): BridgeHome {
  const home = bridgeHome((folder) => ({ audit: { kind: 'file', path: `${folder}/events.ndjson` } }));
  onTestFinished(home.remove);
  return home;
}

async function start(home: BridgeHome, shift: number) {
  const bridge = await startBridgeProcess(home, withClock(shift));
  const get = async (path: string) => await (await fetch(bridge.adminUrl + path)).json();
  return {
    ...bridge,
    get,
    metric: async (name: string) =>
      Number((await (await fetch(`${bridge.adminUrl}/metrics`)).text()).match(new RegExp(`^${name} (.*)$`, 'm'))?.[1]),
    send: async (GroupId: string, Name: string, EventTime: number) =>
      expect((await bridge.post({ search: search(), body: body({ GroupId, Name, EventTime }) })).status).toBe(200),
    nameOf: async (id: string) =>
      ((await get(`/api/group?id=${id}&limit=1`)) as { group: { name: string } }).group.name,
  };
}

test('an hour slow: the newer change wins whatever the order, and everybody says that the clock is wrong', async () => {
  const home = homeOf();
  const bridge = await start(home, -HOUR);
  for (let n = 0; n < 16; n++) await bridge.send(`g${n % 5}`, `${n}`, Date.now() - 50);
  const now = Date.now();
  await bridge.send('pair', 'newer', now - 100);
  await bridge.send('pair', 'older', now - 5_000);
  expect(await bridge.nameOf('pair')).toBe('newer');

  expect(await bridge.get('/readyz')).toEqual({
    status: 'ready',
    warnings: [expect.stringMatching(/clock seems to be (1 h|59 min \d+ s) slow.*NTP/)],
  });
  expect(Math.abs((await bridge.metric('bridge_clock_skew_seconds')) - 3_600)).toBeLessThan(5);
  expect(await (await fetch(`${bridge.adminUrl}/`)).text()).toContain('clock seems to be');
  expect(bridge.stderr() + bridge.stdout()).toMatch(/clock seems to be .* slow/);
  expect(await bridge.end('SIGTERM')).toBe(0);

  // What was learned is known again at the next start.
  const again = await start(home, -HOUR);
  await again.send('second', 'newer', Date.now() - 100);
  await again.send('second', 'older', Date.now() - 5_000);
  expect(await again.nameOf('second')).toBe('newer');
  expect(await again.end('SIGTERM')).toBe(0);
});

test('two hours fast: it is told, and changes are judged by their own times', async () => {
  const bridge = await start(homeOf(), 2 * HOUR);
  for (let n = 0; n < 16; n++) await bridge.send(`g${n % 5}`, `${n}`, Date.now() - 50);
  await bridge.send('pair', 'newer', Date.now() - 100);
  await bridge.send('pair', 'older', Date.now() - 5_000);
  expect(await bridge.nameOf('pair')).toBe('newer');
  expect(await bridge.get('/readyz')).toMatchObject({ warnings: [expect.stringMatching(/2 h fast/)] });
  expect(await bridge.end('SIGTERM')).toBe(0);
});

test('a right clock says nothing, and a flood about one group moves nothing', async () => {
  const bridge = await start(homeOf(), 0);
  for (let n = 0; n < 40; n++) await bridge.send('flooded', 'forged', Date.now() + HOUR);
  await bridge.send('flooded', 'real', Date.now());
  expect(await bridge.nameOf('flooded')).toBe('real');
  expect(await bridge.get('/readyz')).toEqual({ status: 'ready' });
  expect(await bridge.metric('bridge_clock_skew_seconds')).toBe(0);
  expect(await bridge.end('SIGTERM')).toBe(0);
});

test.each([1e300, 8e15, 4_200_000_000_000])(
  'a time that no callback can have (%d) moves nothing',
  async (EventTime) => {
    const bridge = await start(homeOf(), 0);
    for (let n = 0; n < 20; n++) await bridge.send(`g${n % 5}`, `${n}`, EventTime);
    const timeless = { search: search(), body: body({ GroupId: 'timeless', EventTime: undefined }) };
    expect((await bridge.post(timeless)).status).toBe(200);
    await bridge.send('g0', 'real', Date.now());
    expect(await bridge.nameOf('g0')).toBe('real');
    expect(await bridge.get('/readyz')).toEqual({ status: 'ready' });
    expect(await bridge.end('SIGTERM')).toBe(0);
  },
);

test('changes from ahead win for some seconds at most, whatever they are', async () => {
  const bridge = await start(homeOf(), 0);
  await bridge.send('g', 'first', Date.now());
  const ahead = { GroupId: 'g', Operator_Account: 'm', EventTime: Date.now() + 594_000 };
  for (const [command, fields] of [
    ['CreateGroup', { Owner_Account: 'mallory', Name: '' }],
    ['GroupInfoChanged', { Name: 'forged' }],
    ['GroupDestroyed', {}],
    ['ChangeGroupOwner', { NewOwner_Account: 'mallory' }],
  ] as const) {
    const CallbackCommand = `Group.CallbackAfter${command}`;
    const forged = {
      search: search({ CallbackCommand }),
      body: body({ CallbackCommand, Name: undefined, ...ahead, ...fields }),
    };
    expect((await bridge.post(forged)).status).toBe(200);
  }
  const since = performance.now();
  const realIsSeen = async () => {
    await bridge.send('g', 'real', Date.now());
    return await bridge.nameOf('g');
  };
  await expect.poll(realIsSeen, { timeout: 10_000, interval: 200 }).toBe('real');
  expect(performance.now() - since).toBeLessThan(5_000);
  expect(await bridge.end('SIGTERM')).toBe(0);
});
