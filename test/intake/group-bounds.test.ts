/** One group that outsiders fill: it stays small, its ordinary changes stay cheap, and nothing of a callback is lost. */
import { expect, onTestFinished, test } from 'vitest';
import { bridgeHome, startBridgeProcess } from '../support/bridge.process.ts';
import { body, OK, search } from '../support/callbacks.ts';

interface Answer {
  readonly group: { readonly name: string; readonly customFields: Record<string, string> };
  readonly events: { readonly event: { readonly data: { readonly extra: Record<string, unknown> } } }[];
}

test('fields without end: answered OK, bounded, counted, and kept in the events', async () => {
  const home = bridgeHome((folder) => ({ audit: { kind: 'file', path: `${folder}/events.ndjson` } }));
  onTestFinished(home.remove);
  const bridge = await startBridgeProcess(home);
  const post = async (fields: Record<string, unknown>): Promise<void> => {
    const callback = { search: search(), body: body({ GroupId: 'poison', EventTime: Date.now(), ...fields }) };
    expect(await bridge.post(callback)).toEqual(OK);
  };
  const list = (length: number, make: (n: number) => [key: string, value: string]) => ({
    UserDefinedDataList: Array.from({ length }, (_, n) => make(n)).map(([Key, Value]) => ({ Key, Value })),
  });
  for (let i = 0; i < 40; i++) await post(list(2_300, (n) => [(i * 2_300 + n).toString(36), '']));
  for (let i = 0; i < 10; i++) await post(list(14, (n) => [`${i}/${n}`, 'x'.repeat(4_000)]));
  await post({ Introduction: '\x01'.repeat(10_500) });
  await post({ Type: 'T'.repeat(20_000), Operator_Account: 'o'.repeat(20_000) });
  await post(list(10, (n) => [`real ${n}`, 'r'.repeat(512)]));
  const start = performance.now();
  await post({ Name: 'an ordinary change' });
  expect(performance.now() - start).toBeLessThan(250);

  const text = async (path: string): Promise<string> => await (await fetch(bridge.adminUrl + path)).text();
  const { group, events } = JSON.parse(await text('/api/group?id=poison&limit=1000')) as Answer;
  expect(Buffer.byteLength(JSON.stringify(group))).toBeLessThan(512 * 1_024);
  expect(Object.keys(group.customFields).length).toBeLessThanOrEqual(100);
  expect(group.name).toBe('an ordinary change');
  for (let n = 0; n < 10; n++) expect(group.customFields[`real ${n}`]).toBe('r'.repeat(512));
  const kept = events.map(({ event }) => event.data.extra);
  expect(kept).toContainEqual({ Type: 'T'.repeat(20_000), Operator_Account: 'o'.repeat(20_000) });
  const left = /^bridge_bounded_callbacks_total (\d+)$/m.exec(await text('/metrics'));
  expect(Number(left?.[1])).toBe(40);
  expect(bridge.stderr()).toContain('were not merged');
  expect(await bridge.end('SIGTERM')).toBe(0);
});
