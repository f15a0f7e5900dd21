/** Dead letters by cause, on a real Elasticsearch: seen, exported, retried with the true result, discarded. */
import { randomUUID } from 'node:crypto';
import { expect, inject, onTestFinished, test } from 'vitest';
import { getDocuments } from '../servers/readback.ts';
import { bridgeHome, inStep, runCommand, startBridgeProcess } from '../support/bridge.process.ts';
import { OK, search } from '../support/callbacks.ts';

const elasticsearchUrl = inject('elasticsearchUrl');
const skip = elasticsearchUrl === '' ? ' (skipped: no Elasticsearch in this run)' : '';

test.skipIf(skip !== '')(
  `two causes: each is told once, and settled by itself${skip}`,
  async () => {
    const index = `test-${randomUUID()}`;
    const put = async (path: string, wanted: object): Promise<void> => {
      const headers = { 'content-type': 'application/json' };
      const request = { method: 'PUT', headers, body: JSON.stringify(wanted) };
      expect((await fetch(`${elasticsearchUrl}/${index}${path}`, request)).status).toBe(200);
    };
    const changed = (properties: object) => ({
      properties: { data: { properties: { changed: { dynamic: 'strict', properties } } } },
    });
    const text = { type: 'text' };
    await put('', { settings: { number_of_replicas: 0 }, mappings: changed({ notification: text }) });
    const home = bridgeHome(() => ({
      history: { kind: 'elasticsearch', nodes: elasticsearchUrl, index, content: 'events' },
    }));
    onTestFinished(home.remove);
    const bridge = await startBridgeProcess(home);
    let made = 0;
    const post = async (field: string): Promise<void> => {
      const given = {
        GroupId: `g${made++}`,
        Type: 'Public',
        Operator_Account: 'o',
        EventTime: Date.now(),
        [field]: 'x',
      };
      const body = JSON.stringify({ CallbackCommand: 'Group.CallbackAfterGroupInfoChanged', ...given });
      expect(await bridge.post({ search: search(), body })).toEqual(OK);
    };
    for (let n = 0; n < 12; n++) {
      await post('Name');
      await post('Notification');
      if (n < 8) await post('Introduction');
    }
    const run = async (...args: string[]) => runCommand(['dead-letters', ...args, '--admin', bridge.adminUrl]);
    const causes = async (): Promise<
      { cause: string; count: number; reason: string; sample: { attempts: number } }[]
    > => JSON.parse((await run('list', 'history', '--by', 'cause', '--json')).stdout);
    await expect.poll(async () => (await causes()).map(({ count }) => count), { timeout: 30_000 }).toEqual([12, 8]);
    const [names, introductions] = await causes();
    expect(names).toEqual({
      cause: expect.stringMatching(/^[0-9a-f]{12}$/),
      code: 'event-refused',
      reason: expect.stringContaining('[name]'),
      count: 12,
      firstAt: expect.any(Number),
      lastAt: expect.any(Number),
      sample: expect.objectContaining({ attempts: 1, event: expect.anything() }),
    });
    const exported = await run('export', 'history', '--cause', introductions?.cause ?? '');
    expect(
      exported.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).event.data.changed),
    ).toEqual(Array(8).fill({ introduction: 'x' }));
    expect((await run('list', 'history', '--limit', '3')).stdout).toMatch(/3 of 20: raise --limit, or use --by cause/);
    const ofOne = JSON.parse((await run('list', 'history', '--group', 'g0', '--json')).stdout);
    expect(ofOne.deadLetters).toHaveLength(1);

    const page = await (await fetch(`${bridge.adminUrl}/dead-letters?connector=history`)).text();
    expect(page.match(/<tr role="row" id="cause-/g)).toHaveLength(2);
    // Each can be retried and discarded by itself.
    expect(page.match(/<input type="hidden" name="cause"/g)).toHaveLength(4);

    const replay = async (...args: string[]) =>
      runCommand(['replay', 'history', '--from', 'beginning', '--admin', bridge.adminUrl, ...args]);
    const replayed = await replay();
    expect(replayed).toMatchObject({ code: 1, stderr: expect.stringContaining('20 events refused') });
    expect(replayed.stdout).toMatch(/was given 32 events again, from seq 1: 12 delivered, 20 refused\n/);

    await put('/_mapping', changed({ name: text }));
    const retried = await run('retry', 'history', '--cause', names?.cause ?? '');
    expect(retried).toMatchObject({ code: 0, stdout: expect.stringContaining('12 delivered, 0 refused again') });
    const again = await run('retry', 'history', '--cause', introductions?.cause ?? '', '--json');
    expect(JSON.parse(again.stdout)).toEqual({ taken: 8, left: 0, delivered: 0, refused: 8 });
    expect(await causes()).toMatchObject([{ count: 8, sample: { attempts: 2 } }]);

    const discard = () => run('discard', 'history', '--cause', introductions?.cause ?? '');
    expect(await discard()).toMatchObject({ code: 0, stdout: expect.stringContaining('discarded 8 dead letters') });
    expect(await discard()).toMatchObject({ code: 1, stdout: expect.stringContaining('nothing was discarded') });
    await inStep(bridge);
    expect((await getDocuments(elasticsearchUrl, index)).size).toBe(24);
    expect(await bridge.end('SIGTERM')).toBe(0);
  },
  180_000,
);
