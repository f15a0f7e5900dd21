/**
 * `npm run test:powercut -- [--images N] [--seed S]`
 *
 * Records the journal's writes and syncs, cuts the power at random moments of them, opens what may be left on the disk and
 * compares it with what was answered OK; N images (3,000) with a disk that works, a third as many with one that refuses a
 * sync. Then the same on copies of the journal that are broken on purpose, which must be found out. Ends with 1 when
 * anything is missing, or a broken copy is not found out.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createRandom } from '../random.ts';
import { buildRecorder, type Play, type Played, play, whyNoRecorder } from './powercut.ts';
import { BROKEN } from './workload.ts';

const { values } = parseArgs({ options: { images: { type: 'string', default: '3000' }, seed: { type: 'string' } } });
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const images = Number(values.images);
const missing = whyNoRecorder();
if (missing !== undefined) {
  process.stderr.write(`${missing}\n`);
  process.exit(1);
}

const IMAGES_A_PLAY = 250;
const work = mkdtempSync(join(tmpdir(), 'powercut-'));
const library = buildRecorder(work);
const random = createRandom(seed);

/** Two processes on one journal. The disk works. */
const sound = (): Pick<Play, 'seed' | 'steps'> => ({
  seed: random.between(0, 1_000_000),
  steps: [
    { events: random.between(300, 900), ends: random.pick(['kill', 'close'] as const) },
    { events: random.between(100, 500), ends: 'close' },
  ],
});
/** The disk refuses one sync; the process ends of it or goes on, another one follows. */
const refusing = (): Pick<Play, 'seed' | 'steps'> => ({
  seed: random.between(0, 1_000_000),
  steps: [
    {
      events: random.between(300, 600),
      ends: random.pick(['failure', 'failure', 'kill', 'close'] as const),
      refuse: random.between(5, 150),
    },
    { events: random.between(100, 400), ends: 'close' },
  ],
});

async function playAll(
  title: string,
  plays: () => Pick<Play, 'seed' | 'steps'>,
  wanted: number,
  broken?: Play['broken'],
): Promise<Played> {
  const violations: string[] = [];
  let done = 0;
  let answered = 0;
  while (done < wanted) {
    const share = Math.min(IMAGES_A_PLAY, wanted - done);
    const played = await play({ ...plays(), images: share, ...(broken !== undefined && { broken }) }, library);
    done += played.images;
    answered += played.answered;
    violations.push(...played.violations);
    if (broken !== undefined && violations.length > 0) break;
  }
  process.stdout.write(`${title}: ${done} images, ${answered} answered OK, ${violations.length} violations\n`);
  return { images: done, violations, answered };
}

process.stdout.write(`seed ${seed}\n`);
try {
  const found = [
    await playAll('a disk that works', sound, images),
    await playAll('a disk that refuses a sync', refusing, Math.ceil(images / 3)),
  ].flatMap(({ violations }) => violations);
  for (const violation of found) process.stderr.write(`  ${violation}\n`);
  const undetected: string[] = [];
  for (const broken of BROKEN) {
    const plays = broken === 'no-rewrite' ? refusing : sound;
    const { violations } = await playAll(`broken on purpose, ${broken}`, plays, images, broken);
    if (violations.length === 0) undetected.push(broken);
  }
  for (const broken of undetected) process.stderr.write(`  not found out: ${broken}\n`);
  process.exitCode = found.length + undetected.length > 0 ? 1 : 0;
} finally {
  rmSync(work, { recursive: true });
}
