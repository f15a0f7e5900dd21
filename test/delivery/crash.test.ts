/**
 * The delivery thread ends by itself and is started again: what people asked for meanwhile, and a resync that was not
 * through, are carried out all the same. The journal, the file and the index are real; the oracle is what lies there.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { laneOptions } from '../../src/config/connectors.ts';
import type { ConnectorConfig } from '../../src/config/schema.ts';
import { startDelivery } from '../../src/delivery/thread/host.ts';
import { openJournal } from '../../src/journal/append.ts';
import { openDatabase } from '../../src/journal/database.ts';
import { createDeliveryReader } from '../../src/journal/reads.ts';
import { systemClock } from '../../src/model/clock.ts';
import { createSignals, type Signals } from '../../src/model/signal.ts';
import { madeEvent } from '../support/events.ts';

const elasticsearchUrl = inject('elasticsearchUrl');

const toFile = (path: string): ConnectorConfig => ({ ...laneOptions.parse({}), kind: 'file', path, mode: 0o600 });
/** No configuration is so wrong that the schema would let it through and the thread could not live with it; this one is. */
const DEADLY = { ...toFile(''), filter: { groupIds: 1 } } as unknown as ConnectorConfig;

function started(connectors: (folder: string) => Record<string, ConnectorConfig>) {
  const folder = mkdtempSync(join(tmpdir(), 'crash-'));
  const file = join(folder, 'journal.db');
  const signals = createSignals();
  const database = openDatabase(file);
  const journal = openJournal(database, systemClock, signals);
  const resyncs: Signals['lane.resync'][] = [];
  signals.on('lane.resync', (progress) => resyncs.push(progress));
  const running = connectors(folder);
  const delivery = startDelivery(
    { journalFile: file, source: 'urn:tencent-chat:app:1400701118', connectors: running },
    journal,
    signals,
  );
  signals.on('journal.committed', () => delivery.wake());
  signals.on('journal.merged', () => delivery.wake());
  onTestFinished(async () => {
    await delivery.stop(0);
    journal.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    folder,
    journal,
    reader: createDeliveryReader(database.connection),
    resyncs,
    delivery,
    /** Resolves when the thread has ended; the next one begins a second later. */
    async crash(): Promise<void> {
      const crashed = new Promise((resolve) => signals.on('relay.crashed', resolve));
      await delivery.exchange({ ...running, deadly: DEADLY }, [], ['deadly']);
      await crashed;
      await delivery.exchange(running, ['deadly'], []);
    },
    async record(from: number, to: number): Promise<void> {
      await Promise.all(
        Array.from({ length: to - from + 1 }, (_, n) =>
          journal.record(madeEvent(from + n, { name: `${from + n}` }, `g${from + n}`)),
        ),
      );
      journal.flushGroups();
    },
  };
}

async function namesIn(file: string): Promise<string[]> {
  const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line).data.changed.name);
}

describe('while the thread is down', () => {
  test('a replay that is asked for is carried out by the next one', async () => {
    const made = started((folder) => ({ copy: toFile(join(folder, 'copy')) }));
    const copy = join(made.folder, 'copy');
    await made.record(1, 3);
    await expect.poll(() => made.reader.cursor('copy')).toBe(3);
    await made.crash();
    made.delivery.request('copy', { kind: 'replay', cursor: 1 });
    await expect.poll(() => namesIn(copy)).toEqual(['1', '2', '3', '2', '3']);
  });

  test('dead letters that are tried again are tried by the next one', async () => {
    const made = started((folder) => ({ copy: toFile(join(folder, 'copy')) }));
    const copy = join(made.folder, 'copy');
    await made.record(1, 2);
    await expect.poll(() => made.reader.cursor('copy')).toBe(2);
    const fault = { code: 'event-refused', message: 'no' } as const;
    const dead = [{ seq: 1, attempts: 1, fault }];
    made.journal.settle({ connector: 'copy', upTo: 2, waiting: [], dead, released: [] });
    await expect.poll(() => made.reader.countDeadLetters('copy')).toBe(1);
    await made.crash();
    made.delivery.request('copy', { kind: 'retry', seqs: [1] });
    await expect.poll(() => namesIn(copy)).toEqual(['1', '2', '1']);
    await expect.poll(() => made.reader.countDeadLetters('copy')).toBe(0);
  });
});

const skip = elasticsearchUrl === '' ? ' (skipped: no Elasticsearch in this run)' : '';
describe.skipIf(skip !== '')(`a resync${skip}`, () => {
  const GROUPS = 1_400;

  async function withIndex() {
    const index = `test-${randomUUID()}`;
    const made = started(() => ({
      index: {
        // It would mend the copy by itself.
        ...laneOptions.parse({ verify: false }),
        kind: 'elasticsearch',
        nodes: [elasticsearchUrl],
        index,
        content: 'groups',
        onDestroyed: 'mark',
        dataStream: false,
        createIndex: { shards: 1, replicas: 0 },
        requestTimeoutMs: 30_000,
      },
    }));
    onTestFinished(async () => {
      await fetch(`${elasticsearchUrl}/${index}`, { method: 'DELETE' });
    });
    await made.record(1, GROUPS);
    await expect.poll(() => made.reader.cursor('index'), { timeout: 60_000 }).toBe(GROUPS);
    // Taken away behind the bridge's back.
    const gone = Array.from({ length: GROUPS }, (_, n) => `{"delete":{"_id":"g${n + 1}"}}\n`).join('');
    const headers = { 'content-type': 'application/x-ndjson' };
    await fetch(`${elasticsearchUrl}/${index}/_bulk?refresh=true`, { method: 'POST', headers, body: gone });
    const count = async (): Promise<number> => {
      await fetch(`${elasticsearchUrl}/${index}/_refresh`, { method: 'POST' });
      const answer = await fetch(`${elasticsearchUrl}/${index}/_count`);
      return ((await answer.json()) as { count: number }).count;
    };
    expect(await count()).toBe(0);
    return { ...made, count };
  }

  test('that is asked for while the thread is down is carried out by the next one', async () => {
    const made = await withIndex();
    await made.crash();
    made.delivery.request('index', { kind: 'resync', how: 'repair' });
    await expect
      .poll(() => made.resyncs.at(-1), { timeout: 60_000 })
      .toMatchObject({ done: GROUPS, mended: GROUPS, ended: true });
    expect(await made.count()).toBe(GROUPS);
  });

  test('in whose midst the thread ends goes on, and comes to its end', async () => {
    const made = await withIndex();
    made.delivery.request('index', { kind: 'resync', how: 'repair' });
    await expect.poll(() => made.resyncs.length).toBeGreaterThan(0);
    await made.crash();
    await expect
      .poll(() => made.resyncs.at(-1), { timeout: 60_000 })
      .toMatchObject({ done: GROUPS, failed: 0, ended: true });
    expect(await made.count()).toBe(GROUPS);
  });
});
