/** The quarantine has a bound of its own, and what was in it before makes room for what comes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openJournal } from '../../src/journal/append.ts';
import { openDatabase } from '../../src/journal/database.ts';
import { createDeliveryReader } from '../../src/journal/reads.ts';
import { systemClock } from '../../src/model/clock.ts';
import { createSignals } from '../../src/model/signal.ts';
import { madeEvent } from '../support/events.ts';

test('beyond a tenth of the journal a callback is refused by its own fault; events still have room', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'journal-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const database = openDatabase(join(folder, 'journal.db'), { maxBytes: 8 * 1_048_576 });
  const journal = openJournal(database, systemClock, createSignals());
  const reader = createDeliveryReader(database.connection);
  const fault = { code: 'not-json', message: 'x' } as const;
  const keep = () => journal.quarantine({ receivedAt: 1, search: '', body: new Uint8Array(60_000), fault });
  let kept = 0;
  const fill = async (): Promise<void> => {
    for (; kept < 100; kept++) await keep();
  };
  await expect(fill()).rejects.toMatchObject({ fault: { code: 'quarantine-full' } });
  expect(kept).toBeGreaterThan(5);
  expect(reader.countQuarantined()).toBe(kept);
  expect(await journal.record(madeEvent(1))).toBe('recorded');

  const page = reader.quarantined(0, 1_000);
  expect(page.length).toBeLessThan(kept);
  await journal.releaseQuarantined(page.map(({ id }) => id));
  await expect(keep()).resolves.toBeUndefined();
  journal.close();
});

test('what a full journal refused takes no place in the quarantine', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'journal-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const database = openDatabase(join(folder, 'journal.db'), { maxBytes: 4 * 1_048_576 });
  const journal = openJournal(database, systemClock, createSignals());
  const fault = { code: 'not-json', message: 'x' } as const;
  const keep = () => journal.quarantine({ receivedAt: 1, search: '', body: new Uint8Array(40_000), fault });
  const fill = async (): Promise<void> => {
    for (let n = 1; n < 1_000; n++) await journal.record(madeEvent(n, { notification: 'x'.repeat(40_000) }));
  };
  await expect(fill()).rejects.toMatchObject({ fault: { code: 'journal-unwritable' } });
  for (let n = 0; n < 20; n++) await expect(keep()).rejects.toMatchObject({ fault: { code: 'journal-unwritable' } });
  const head = journal.head();
  journal.flushGroups();
  while ((await journal.prune(0, () => head, 500)).pruned > 0);
  await expect.poll(keep, { timeout: 5_000 }).toBeUndefined();
  journal.close();
});
