/** A small one of `npm run test:powercut`. */
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRandom } from '../random.ts';
import { buildRecorder, type Play, play, whyNoRecorder } from './powercut.ts';
import { createDisk } from './trace.ts';

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

  test('a sync that ends after one that began later takes nothing of that one away', () => {
    const disk = createDisk({ random: createRandom(1) });
    const one = { inode: 1n, number: 0, status: 0, data: Buffer.alloc(0) };
    disk.apply({ ...one, kind: 'P', inode: 2n });
    disk.apply({ ...one, kind: 'C', data: Buffer.from('log') });
    disk.apply({ ...one, kind: 'E', inode: 2n });
    const page = Buffer.alloc(4_096, 'x');
    disk.apply({ ...one, kind: 'W', data: page });
    disk.apply({ ...one, kind: 'B', number: 1 });
    disk.apply({ ...one, kind: 'W', number: page.length, data: page });
    disk.apply({ ...one, kind: 'B', number: 2 });
    disk.apply({ ...one, kind: 'E', number: 2 });
    disk.apply({ ...one, kind: 'E', number: 1 });
    for (let n = 0; n < 20; n++) {
      const image = join(folder, `image-${n}`);
      mkdirSync(image);
      disk.image(image, createRandom(n));
      expect(statSync(join(image, 'log')).size).toBe(2 * page.length);
    }
  });

  test('is seen where the log is not written again after that, and where OK comes before the sync', async () => {
    // Whether a broken copy loses something is a matter of moments: a few plays are enough to see it.
    const isSeen = async (steps: Play['steps'], broken: Play['broken'] & string): Promise<boolean> => {
      for (let seed = 1; seed <= 10; seed++) {
        const { violations } = await play({ seed, steps, images: 30, broken }, library);
        if (violations.length > 0) return true;
      }
      return false;
    };
    const refused = [
      { events: 200, ends: 'failure', refuse: 20 },
      { events: 60, ends: 'close' },
    ] as const;
    expect(await isSeen(refused, 'no-rewrite')).toBe(true);
    expect(await isSeen([{ events: 300, ends: 'kill' }], 'sync-skipped')).toBe(true);
  });
});
