/** A small one of `npm run test:powercut`. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildRecorder, play, whyNoRecorder } from './powercut.ts';

const missing = process.env.CI === 'true' ? undefined : whyNoRecorder();
if (missing !== undefined) process.stderr.write(`SKIPPED: what a power cut leaves is not tested: ${missing}\n`);

describe.skipIf(missing !== undefined)('a power cut', () => {
  let folder: string;
  let library: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'powercut-'));
    library = buildRecorder(folder);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('leaves what was answered OK, whatever of the unsynced writes was dropped or torn', async () => {
    const steps = [
      { events: 300, ends: 'kill' },
      { events: 60, ends: 'close' },
    ] as const;
    const { violations, answered } = await play({ seed: 1, steps, images: 30 }, library);
    expect(violations).toEqual([]);
    expect(answered).toBe(360);
  });

  test('the same after a disk that refused a sync, and a process that ended of it', async () => {
    const steps = [
      { events: 200, ends: 'failure', refuse: 20 },
      { events: 60, ends: 'close' },
    ] as const;
    const { violations, answered } = await play({ seed: 2, steps, images: 30 }, library);
    expect(violations).toEqual([]);
    expect(answered).toBeGreaterThan(60);
  });

  test('is seen where the log is not written again after that, and where OK comes before the sync', async () => {
    const refused = [
      { events: 200, ends: 'failure', refuse: 20 },
      { events: 60, ends: 'close' },
    ] as const;
    const unwritten = await play({ seed: 2, steps: refused, images: 30, broken: 'no-rewrite' }, library);
    expect(unwritten.violations).not.toEqual([]);
    const steps = [{ events: 300, ends: 'kill' }] as const;
    const early = await play({ seed: 1, steps, images: 30, broken: 'sync-skipped' }, library);
    expect(early.violations).not.toEqual([]);
  });
});
