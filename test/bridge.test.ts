import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject, test } from 'vitest';
import type { z } from 'zod';
import type { eventAnswer } from '../src/admin/contract.ts';
import { type CanonicalEvent, sourceOf } from '../src/model/event.ts';
import { eventually, followTopic, getDocument } from './servers/readback.ts';
import { bridgeHome, startBridgeProcess } from './support/bridge.process.ts';
import {
  body,
  CAPTURE_2022,
  CAPTURE_2022_EVENT,
  DOCUMENTED,
  ODD_GROUP_IDS,
  ODD_TEXTS,
  OK,
  SDK_APP_ID,
  search,
} from './support/callbacks.ts';

const brokers = inject('kafkaBrokers');
const elasticsearchUrl = inject('elasticsearchUrl');
const skip = brokers === '' || elasticsearchUrl === '' ? ' (skipped: no Kafka or Elasticsearch in this run)' : '';

/** A topic and an index of one test alone. */
function destinations() {
  const topic = `test.${randomUUID()}`;
  const index = `test-${randomUUID()}`;
  const history = `${index}-events`;
  const es = { kind: 'elasticsearch', nodes: [elasticsearchUrl], createIndex: { replicas: 0 } };
  return {
    topic,
    index,
    history,
    connectors: {
      'group-events': { kind: 'kafka', brokers: [brokers], topic, createTopic: { partitions: 3 } },
      'group-index': { ...es, index, content: 'groups' },
      'event-index': { ...es, index: history, content: 'events' },
    },
  };
}

describe.skipIf(skip !== '')(`a callback reaches Kafka and Elasticsearch${skip}`, () => {
  test('the 2022 capture and the documented sample, byte for byte', async () => {
    const { topic, index, history, connectors } = destinations();
    const home = bridgeHome(() => connectors);
    const bridge = await startBridgeProcess(home);
    expect(await bridge.post(CAPTURE_2022)).toEqual(OK);
    expect(await bridge.post(DOCUMENTED)).toEqual(OK);

    const reader = await followTopic(brokers, topic);
    await reader.until((records) => records.length === 2, 'two records');
    await reader.close();
    const headers = { 'content-type': 'application/cloudevents+json; charset=UTF-8' };
    const capture = reader.records.find(({ key }) => key === 'e6a954aa-2419-4743-b968-a971f8077bf1');
    const sample = reader.records.find(({ key }) => key === '@TGS#2J4SZEAEL');
    expect(capture?.headers).toEqual(headers);
    expect(sample?.headers).toEqual(headers);
    const captured: CanonicalEvent = JSON.parse(capture?.value ?? '');
    expect(captured).toEqual({
      ...CAPTURE_2022_EVENT,
      id: '01g7j21n3f6p0b77j8xz2f14qd',
      data: { ...CAPTURE_2022_EVENT.data, receivedAt: expect.any(Number) },
    });
    const documented: CanonicalEvent = JSON.parse(sample?.value ?? '');
    expect(documented).toMatchObject({ subject: '@TGS#2J4SZEAEL', data: { groupType: 'Public', operator: 'leckie' } });

    const captureDocument = await eventually(async () => {
      const found = await getDocument(elasticsearchUrl, index, captured.subject);
      expect(found).toBeDefined();
      return found;
    }, 'the document of the capture');
    const capturedVersion = [1_657_389_765_743, captured.id];
    expect(captureDocument).toEqual({
      groupId: 'e6a954aa-2419-4743-b968-a971f8077bf1',
      source: sourceOf(SDK_APP_ID),
      groupType: 'AVChatRoom',
      name: 'test update',
      introduction: 'test update group',
      customFields: {},
      lastOperator: 'administrator',
      updatedAt: '2022-07-09T18:02:45.743Z',
      destroyed: false,
      versions: {
        name: capturedVersion,
        introduction: capturedVersion,
        groupType: capturedVersion,
        lastOperator: capturedVersion,
        updatedAt: capturedVersion,
      },
    });
    await eventually(async () => {
      expect(await getDocument(elasticsearchUrl, index, '@TGS#2J4SZEAEL')).toMatchObject({
        groupId: '@TGS#2J4SZEAEL',
        groupType: 'Public',
        name: 'MyFirstGroup',
        introduction: 'TestIntroduction',
        notification: 'TestNotification',
        faceUrl: 'http://this.is.face.url',
        lastOperator: 'leckie',
        updatedAt: '2022-12-09T08:26:54.123Z',
        versions: { name: [1_670_574_414_123, documented.id] },
      });
      expect(await getDocument(elasticsearchUrl, history, captured.id)).toEqual(captured);
      expect(await getDocument(elasticsearchUrl, history, documented.id)).toEqual(documented);
    }, 'the documents of both');
    expect(await bridge.end('SIGTERM')).toBe(0);
    const again = await startBridgeProcess(home);
    const followed = await (await fetch(`${again.adminUrl}/api/events/${documented.id}`)).json();
    const there = { standing: 'delivered', attempts: 1, at: expect.any(Number) };
    expect((followed as z.output<typeof eventAnswer>).copies).toMatchObject([
      { ...there, where: `${topic}/${sample?.partition}@${sample?.offset}` },
      { ...there, where: expect.stringContaining(`${index}/@TGS#2J4SZEAEL`) },
      { ...there, where: `${history}/${documented.id}` },
    ]);
    expect(await again.end('SIGTERM')).toBe(0);
    home.remove();
  }, 120_000);

  test('odd group ids and texts come through to both', async () => {
    const { topic, index, connectors } = destinations();
    const home = bridgeHome(() => connectors);
    const bridge = await startBridgeProcess(home);
    const texts = Object.values(ODD_TEXTS);
    const wanted = new Map([
      ...ODD_GROUP_IDS.map((groupId, n): [string, string] => [groupId, `name ${n}`]),
      ...texts.map((text, n): [string, string] => [`@TGS#text${n}`, text]),
    ]);
    for (const [GroupId, Name] of wanted)
      expect(await bridge.post({ search: search(), body: body({ GroupId, Name }) })).toEqual(OK);

    const reader = await followTopic(brokers, topic);
    await reader.until((records) => records.length === wanted.size, 'all of them');
    await reader.close();
    const inKafka = reader.records.map(({ key, value }) => [
      key,
      (JSON.parse(value ?? '') as CanonicalEvent).data.changed.name,
    ]);
    expect(new Map(inKafka as [string, string][])).toEqual(wanted);
    await eventually(async () => {
      for (const [groupId, name] of wanted) {
        expect(await getDocument(elasticsearchUrl, index, groupId)).toMatchObject({ groupId, name });
      }
    }, 'every group in Elasticsearch');
    expect(await bridge.end('SIGTERM')).toBe(0);
    home.remove();
  });

  test('SIGTERM under load: nothing answered OK is missing from the topic after a restart', async () => {
    const { topic, connectors } = destinations();
    const home = bridgeHome(() => ({ 'group-events': connectors['group-events'] }));
    const acknowledged = new Set<string>();
    let sent = 0;
    const load = async (url: string, until: () => boolean): Promise<void> => {
      while (!until()) {
        const Name = `change ${sent++}`;
        try {
          const response = await fetch(`${url}?${search()}`, {
            method: 'POST',
            body: body({ Name, GroupId: `@TGS#${sent % 50}` }),
          });
          if (response.status === 200) acknowledged.add(Name);
        } catch {
          // refused or cut off: never answered OK, so nothing is owed
        }
      }
    };

    const first = await startBridgeProcess(home);
    let over = false;
    const clients = Array.from({ length: 16 }, () => load(first.url, () => over));
    await expect.poll(() => acknowledged.size, { timeout: 20_000 }).toBeGreaterThan(1_000);
    const exit = await first.end('SIGTERM');
    over = true;
    await Promise.all(clients);
    expect(exit).toBe(0);

    const second = await startBridgeProcess(home);
    const reader = await followTopic(brokers, topic);
    const found = new Set<string>();
    let scanned = 0;
    await reader.until((records) => {
      for (const { value } of records.slice(scanned))
        found.add((JSON.parse(value ?? '') as CanonicalEvent).data.changed.name ?? '');
      scanned = records.length;
      return [...acknowledged].every((name) => found.has(name));
    }, 'every callback that was answered OK');
    await reader.close();
    expect(await second.end('SIGTERM')).toBe(0);
    home.remove();
  });
});

describe('without any server', () => {
  test('a restart goes on where it stopped; a destination that is down delays no other one', async () => {
    const home = bridgeHome((folder) => ({
      'audit-file': { kind: 'file', path: join(folder, 'events.ndjson') },
      down: { kind: 'kafka', brokers: ['127.0.0.1:1'], topic: 'none', retry: { initialMs: 20, maxMs: 100 } },
    }));
    const lines = async (): Promise<string[]> =>
      (await readFile(join(home.folder, 'events.ndjson'), 'utf8').catch(() => ''))
        .split('\n')
        .filter((line) => line !== '');
    const first = await startBridgeProcess(home);
    for (let n = 0; n < 20; n++)
      expect(await first.post({ search: search(), body: body({ Name: `${n}` }) })).toEqual(OK);
    await expect.poll(lines).toHaveLength(20);
    expect(await first.end('SIGTERM')).toBe(0);

    const second = await startBridgeProcess(home);
    expect(await second.post({ search: search(), body: body({ Name: 'after' }) })).toEqual(OK);
    await expect.poll(lines).toHaveLength(21);
    // The line is in the file a moment before the bridge knows that it is settled.
    const lagOf = async (connector: string): Promise<string | undefined> =>
      (await (await fetch(`${second.adminUrl}/metrics`)).text()).match(
        new RegExp(`bridge_delivery_lag_events\\{connector="${connector}"\\} (\\d+)`),
      )?.[1];
    await expect.poll(() => lagOf('audit-file')).toBe('0');
    expect(await lagOf('down')).toBe('21');
    expect(await second.end('SIGTERM')).toBe(0);
    home.remove();
  });
});
