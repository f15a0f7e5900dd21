/** A journal that strangers filled with groups: what was known goes on, without a restart. */
import { expect, onTestFinished, test } from 'vitest';
import { bridgeHome, inStep, startBridgeProcess } from '../support/bridge.process.ts';
import { body, OK, search } from '../support/callbacks.ts';

test.each([
  ['many groups', 2_000],
  ['large groups', 30_000],
])(
  '%s: afterwards known groups are recorded and the bridge is ready; new ones have a fault of their own',
  async (_, size) => {
    const home = bridgeHome((folder) => ({ audit: { kind: 'file', path: `${folder}/events.ndjson` } }), {
      receiver: { host: '127.0.0.1', port: 0, whenUnrecordable: 'fail' },
      journal: { maxBytes: '4MiB', keepDelivered: '1s' },
    });
    onTestFinished(home.remove);
    const bridge = await startBridgeProcess(home);
    const post = (GroupId: string, fields: Record<string, unknown>) =>
      bridge.post({ search: search(), body: body({ GroupId, EventTime: Date.now(), ...fields }) });
    expect(await post('known', { Name: 'before' })).toEqual(OK);
    let [sent, refused] = [0, 0];
    const isFull = () => bridge.stderr().includes('it is of a new group');
    const flood = async (): Promise<void> => {
      while (sent < 3_000 && (refused < 100 || !isFull())) {
        const answer = await post(`g${++sent}`, { Introduction: 'x'.repeat(size) });
        if (answer.status !== 200) refused++;
      }
    };
    await Promise.all(Array.from({ length: 8 }, flood));
    expect(isFull()).toBe(true);
    expect(refused).toBeGreaterThan(0);
    await inStep(bridge);
    const ready = async () => (await fetch(`${bridge.adminUrl}/readyz`)).status;
    await expect.poll(ready, { timeout: 15_000 }).toBe(200);
    const kept = async () => ((await (await fetch(`${bridge.adminUrl}/api/events`)).json()) as { events: [] }).events;
    await expect.poll(kept, { timeout: 15_000 }).toEqual([]);
    const now = Date.now();
    for (let n = 0; n < 50; n++) {
      const fields = { Name: `after ${n}`, Introduction: 'y'.repeat(2_000), EventTime: now + n };
      expect(await post('known', fields)).toEqual(OK);
    }
    expect((await post('a stranger', { Name: 'x' })).status).toBe(503);
    expect(await (await fetch(`${bridge.adminUrl}/readyz`)).text()).toContain('callbacks of new ones are refused');
    const group = (await (await fetch(`${bridge.adminUrl}/api/group?id=known`)).json()) as { group: { name: string } };
    expect(group.group.name).toBe('after 49');
    expect(await bridge.end('SIGTERM')).toBe(0);
  },
  120_000,
);
