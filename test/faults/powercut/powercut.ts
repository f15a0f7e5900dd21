import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openJournal } from '../../../src/journal/append.ts';
import { openDatabase } from '../../../src/journal/database.ts';
import { createGroupReader } from '../../../src/journal/groups.ts';
import { createDeliveryReader } from '../../../src/journal/reads.ts';
import { systemClock } from '../../../src/model/clock.ts';
import { messageOf } from '../../../src/model/fault.ts';
import { merge } from '../../../src/model/group.ts';
import { createSignals } from '../../../src/model/signal.ts';
import { createRandom } from '../random.ts';
import { createDisk, readTrace } from './trace.ts';
import { type Broken, eventOf, JOURNAL } from './workload.ts';

/** Why no power cut can be played here, and what would help; undefined when it can be. */
export function whyNoRecorder(): string | undefined {
  if (process.platform !== 'linux') return 'power cuts are played on Linux only';
  if (spawnSync('cc', ['--version']).status !== 0) return 'there is no C compiler: apt-get install gcc libc6-dev';
  return undefined;
}

/** Builds the library that records a process, into the folder. */
export function buildRecorder(folder: string): string {
  const library = join(folder, 'recorder.so');
  const source = join(import.meta.dirname, 'recorder.c');
  const built = spawnSync('cc', ['-shared', '-fPIC', '-O2', '-o', library, source, '-ldl', '-lpthread']);
  if (built.status !== 0) throw new Error(`cc: ${built.stderr}`);
  return library;
}

/** One process that uses the journal. */
export interface Step {
  readonly events: number;
  readonly ends: 'close' | 'kill' | 'failure';
  /** Which sync of the log the disk refuses. */
  readonly refuse?: number;
}

export interface Play {
  readonly seed: number;
  readonly steps: readonly Step[];
  readonly images: number;
  readonly broken?: Broken;
}

export interface Played {
  readonly images: number;
  /** Images that hold less than what was answered OK, with what they lack. */
  readonly violations: readonly string[];
  /** What was answered OK over all processes. */
  readonly answered: number;
}

/** Records the processes, one after the other on the same files, then cuts the power at random moments of all of it. */
export async function play({ seed, steps, images, broken }: Play, library: string): Promise<Played> {
  const work = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'powercut-'));
  const folder = join(work, 'recorded');
  const trace = join(work, 'trace');
  mkdirSync(folder);
  try {
    let from = 0;
    for (const { events, ends, refuse } of steps) {
      const args = [folder, seed, from, events, ends, broken ?? ''].map(String);
      const env = {
        ...process.env,
        LD_PRELOAD: library,
        POWERCUT_FOLDER: folder,
        POWERCUT_TRACE: trace,
        UV_USE_IO_URING: '0',
        ...(refuse !== undefined && { POWERCUT_EIO: String(refuse) }),
      };
      const writer = spawn(process.execPath, [join(import.meta.dirname, 'writer.ts'), ...args], {
        env,
        stdio: 'inherit',
      });
      const [code, signal] = await once(writer, 'exit');
      if (code !== 0 && signal !== 'SIGKILL') throw new Error(`the writer ended with ${code ?? signal}`);
      from += events;
    }
    return await cutPower(trace, work, { seed, images, broken });
  } finally {
    rmSync(work, { recursive: true });
  }
}

async function cutPower(
  trace: string,
  work: string,
  { seed, images, broken }: Pick<Play, 'seed' | 'images'> & { readonly broken: Broken | undefined },
): Promise<Played> {
  const records = readTrace(trace);
  const random = createRandom(seed);
  const disk = createDisk({ ignoreRewrites: broken === 'no-rewrite', random });
  const cuts = Array.from({ length: images }, () => random.between(0, records.length)).sort((a, b) => a - b);
  const violations: string[] = [];
  let at = 0;
  for (const cut of cuts) {
    for (; at < cut; at++) disk.apply(records[at] as (typeof records)[0]);
    const image = join(work, 'image');
    mkdirSync(image);
    disk.image(image, random);
    const ok = disk.read('ok').toString().split('\n').filter(Boolean).map(Number);
    const delivered = new Set(disk.read('delivered').toString().split('\n').filter(Boolean));
    const lack = await lackOf(image, ok, delivered);
    if (lack !== undefined) violations.push(`seed ${seed}, cut at ${cut} of ${records.length}: ${lack}`);
    rmSync(image, { recursive: true });
  }
  for (; at < records.length; at++) disk.apply(records[at] as (typeof records)[0]);
  return { images, violations, answered: disk.read('ok').toString().split('\n').length - 1 };
}

/** Opens what is left as the next start would, and says what is missing in it. */
async function lackOf(
  image: string,
  answered: readonly number[],
  delivered: ReadonlySet<string>,
): Promise<string | undefined> {
  const damages: string[] = [];
  try {
    const database = openDatabase(join(image, JOURNAL), {
      onDamaged: ({ reason }) => damages.push(reason),
      onReindexed: ({ reason }) => damages.push(reason),
    });
    const journal = openJournal(database, systemClock, createSignals());
    try {
      if (damages.length > 0) return `damaged: ${damages}`;
      const reader = createDeliveryReader(database.connection);
      const groups = createGroupReader(database.connection, journal.buffered);
      const rows = database.connection.prepare('SELECT id, seq FROM events').all();
      const seqs = new Map(rows.map(({ id, seq }) => [id as string, seq as number]));
      const cursor = reader.cursor('lane');
      for (const n of answered) {
        const event = eventOf(n);
        const seq = seqs.get(event.id);
        const isOpen = seq !== undefined && (seq > cursor || reader.openDelivery('lane', seq) !== undefined);
        if (!isOpen && !delivered.has(event.id)) {
          return `event ${n} of ${answered.length} ${seq === undefined ? 'is lost' : `lies before the cursor ${cursor}`}`;
        }
        const group = groups.get(event.subject);
        if (group === undefined || merge(group, event) !== group) return `event ${n} is not in its merged group`;
      }
      if ((await journal.record(eventOf(1_000_000))) !== 'recorded') return 'a new event is taken for a duplicate';
      return undefined;
    } finally {
      journal.close();
    }
  } catch (thrown) {
    return `cannot be opened: ${messageOf(thrown)} (${readdirSync(image)})`;
  }
}
