/** A destination that refuses every event is at fault itself: the lane waits, and no event is charged. */
import { randomUUID } from 'node:crypto';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { ALIKE, createDoubt } from '../../src/delivery/doubt.ts';
import { type Entry, entryOf } from '../../src/model/entry.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import { getDocuments } from '../servers/readback.ts';
import { bridgeHome, inStep, startBridgeProcess } from '../support/bridge.process.ts';
import { body, OK, search } from '../support/callbacks.ts';
import { madeEvent } from '../support/events.ts';

const entries = (from: number, count: number): Entry[] =>
  Array.from({ length: count }, (_, n) => entryOf(from + n, madeEvent(from + n, {}, `g${from + n}`)));
const dead = (message: string): Outcome => ({ kind: 'dead', fault: { code: 'event-refused', message } });
const delivered: Outcome = { kind: 'delivered', receipt: 'r' };
const each = (batch: readonly Entry[], outcome: (entry: Entry) => Outcome) =>
  new Map(batch.map((entry) => [entry.id, outcome(entry)]));
const refused = (batch: readonly Entry[]) => each(batch, ({ id }) => dead(`document '${id}' is of a wrong type`));

describe('so many events in a row that are refused alike', () => {
  test('make the destination doubted; those refused before are named', () => {
    const doubt = createDoubt();
    const [first, second] = [entries(1, ALIKE - 1), entries(ALIKE, 1)];
    expect(doubt.look(first, refused(first), 'c')).toBeUndefined();
    const found = doubt.look(second, refused(second), 'c');
    expect(found?.earlier).toEqual(first);
    expect(found?.fault).toMatchObject({
      code: 'destination-misconfigured',
      path: 'connectors.c',
      message: expect.stringMatching(
        /^20 different events in a row .* the first: document '\w+' is of a wrong type \(event-refused\)$/,
      ),
      suggestion: expect.stringContaining('resume c'),
    });
  });

  test.each([
    ['one event again and again', () => Array.from({ length: ALIKE }, () => entries(1, 1)), refused],
    [
      'another reason in between',
      () => [entries(1, ALIKE - 1), entries(50, 1), entries(60, 1)],
      (batch: readonly Entry[]) => each(batch, ({ seq }) => dead(seq === 50 ? 'too large' : 'wrong')),
    ],
    [
      'an event that is taken in between',
      () => [entries(1, ALIKE - 1), entries(50, 2), entries(60, 1)],
      (batch: readonly Entry[]) => each(batch, ({ seq }) => (seq === 50 ? delivered : dead('wrong'))),
    ],
    [
      'one that is taken beside them',
      () => [entries(1, 2 * ALIKE)],
      (batch: readonly Entry[]) => each(batch, ({ seq }) => (seq === 7 ? delivered : dead('wrong'))),
    ],
  ])('are none with %s', (_, batches, outcomes) => {
    const doubt = createDoubt();
    for (const batch of batches()) expect(doubt.look(batch, outcomes(batch), 'c')).toBeUndefined();
  });

  test('are dead letters once a person says so, until one is taken', () => {
    const doubt = createDoubt();
    const batch = entries(1, ALIKE);
    expect(doubt.trust()).toBe(false);
    expect(doubt.look(batch, refused(batch), 'c')).toBeDefined();
    expect(doubt.trust()).toBe(true);
    expect(doubt.look(batch, refused(batch), 'c')).toBeUndefined();
    const [taken] = [entries(50, 1)];
    doubt.look(
      taken,
      each(taken, () => delivered),
      'c',
    );
    const again = entries(60, ALIKE);
    expect(doubt.look(again, refused(again), 'c')).toBeDefined();
  });

  test('are not kept once a person says so: there may be as many as the journal holds', () => {
    const doubt = createDoubt();
    const batch = entries(1, 1_000);
    doubt.look(batch, refused(batch), 'c');
    expect(doubt.trust()).toBe(true);
    const outcome = dead('of a wrong type');
    // Of the processor, which others may keep busy meanwhile.
    const before = process.cpuUsage();
    for (let from = 1_001; from < 300_000; from += 1_000) {
      const more = Array.from({ length: 1_000 }, (_, n) => ({ id: `e${from + n}` }) as Entry);
      expect(doubt.look(more, new Map(more.map(({ id }) => [id, outcome])), 'c')).toBeUndefined();
    }
    expect(process.cpuUsage(before).user).toBeLessThan(2_000_000);
  });
});

const elasticsearchUrl = inject('elasticsearchUrl');
const skip = elasticsearchUrl === '' ? ' (skipped: no Elasticsearch in this run)' : '';
test.skipIf(skip !== '')(
  `an index that takes no document is waited for; mended, it has them all${skip}`,
  async () => {
    const index = `test-${randomUUID()}`;
    const json = { 'content-type': 'application/json' };
    const put = async (path: string, wanted: object) =>
      expect(
        (
          await fetch(`${elasticsearchUrl}/${index}${path}`, {
            method: 'PUT',
            headers: json,
            body: JSON.stringify(wanted),
          })
        ).status,
      ).toBe(200);
    // Nothing says that this would meet every document.
    await put('', { settings: { number_of_replicas: 0 }, mappings: { dynamic: 'strict' } });
    const home = bridgeHome(() => ({
      history: {
        kind: 'elasticsearch',
        nodes: elasticsearchUrl,
        index,
        content: 'events',
        retry: { initialMs: 100, maxMs: 1_000 },
      },
    }));
    onTestFinished(home.remove);
    const bridge = await startBridgeProcess(home);
    const post = async (GroupId: string) =>
      expect(await bridge.post({ search: search(), body: body({ GroupId, EventTime: Date.now() }) })).toEqual(OK);
    const status = async () => {
      const { connectors } = (await (await fetch(`${bridge.adminUrl}/api/status`)).json()) as {
        connectors: { state: { kind: string; fault?: { message: string } }; lag: number; deadLetters: number }[];
      };
      return connectors[0];
    };
    for (let n = 0; n < ALIKE - 1; n++) await post(`g${n}`);
    await expect.poll(async () => (await status())?.deadLetters, { timeout: 20_000 }).toBe(ALIKE - 1);
    for (let n = ALIKE - 1; n < ALIKE + 5; n++) await post(`g${n}`);
    await expect
      .poll(status, { timeout: 20_000 })
      .toMatchObject({ state: { kind: 'waiting' }, deadLetters: 0, lag: ALIKE + 5 });
    expect((await status())?.state.fault?.message).toMatch(/different events in a row were refused alike.*strict/);
    await put('/_mapping', { dynamic: true });
    await inStep(bridge);
    expect((await getDocuments(elasticsearchUrl, index)).size).toBe(ALIKE + 5);
    expect(await bridge.end('SIGTERM')).toBe(0);
  },
  90_000,
);
