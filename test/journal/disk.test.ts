import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { openJournal } from '../../src/journal/append.ts';
import { openDatabase, openReader } from '../../src/journal/database.ts';
import { journalDoubts } from '../../src/journal/place.ts';
import { createDeliveryReader } from '../../src/journal/reads.ts';
import { systemClock } from '../../src/model/clock.ts';
import { BridgeError } from '../../src/model/fault.ts';
import { createSignals, type Signals } from '../../src/model/signal.ts';
import { madeEvent } from '../support/events.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'disk-'));
  file = join(folder, 'journal.db');
});
afterEach(() => rmSync(folder, { recursive: true }));

const LINUX = process.platform === 'linux';

function open(path = file) {
  const signals = createSignals();
  const heard: string[] = [];
  const faults: Signals['journal.failed'][] = [];
  signals.tap((name) => heard.push(name));
  signals.on('journal.failed', (payload) => faults.push(payload));
  const damages: { setAside: string; reason: string }[] = [];
  const reindexed: string[] = [];
  const database = openDatabase(path, {
    onDamaged: (damage) => damages.push(damage),
    onReindexed: ({ reason }) => reindexed.push(reason),
  });
  const journal = openJournal(database, systemClock, signals);
  return { database, journal, heard, faults, damages, reindexed, reader: createDeliveryReader(database.connection) };
}

/** A journal that was killed: its log is not in the file. */
async function killed(events: number, first = 1): Promise<void> {
  const { journal, database } = open();
  for (let n = first; n < first + events; n++) await journal.record(madeEvent(n));
  const another = openReader(file);
  another.prepare('SELECT count(*) FROM events').get();
  journal.close();
  another.close();
  expect(statSync(`${database.file}-wal`).size).toBeGreaterThan(0);
}

/** Another process, which runs this module text with the file as its argument until the test ends. */
async function otherProcess(source: string, ...args: string[]): Promise<{ pid: number; end(): Promise<void> }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', source, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const end = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  onTestFinished(end);
  await once(child.stdout, 'data');
  return { pid: child.pid as number, end };
}

const HOLD = `setInterval(() => {}, 1000); console.log('ready');`;

function refused(work: () => unknown): BridgeError | undefined {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof BridgeError) return thrown;
    throw thrown;
  }
  return undefined;
}

describe('the log', () => {
  test.skipIf(!LINUX)(
    'every descriptor of it is opened before anything is written: a later one is not told of a failure',
    async () => {
      const descriptors = (): number =>
        readdirSync('/proc/self/fd').filter((fd) => {
          try {
            return readlinkSync(`/proc/self/fd/${fd}`) === `${file}-wal`;
          } catch {
            return false;
          }
        }).length;
      const { journal } = open();
      const before = descriptors();
      // Two of SQLite’s, one for each of two syncs, and one for what is synced at once.
      expect(before).toBe(5);
      for (let n = 0; n < 20; n++) await Promise.all([1, 2, 3, 4].map((k) => journal.record(madeEvent(n * 10 + k))));
      expect(descriptors()).toBe(before);
      journal.close();
    },
  );

  test('it stays of the size at which it is checkpointed, and what is in it comes into the file', async () => {
    const { journal, database } = open();
    let n = 0;
    for (let round = 0; round < 60; round++) {
      const large = Array.from({ length: 20 }, () => madeEvent(n++, { introduction: 'x'.repeat(9_000) }));
      await Promise.all(large.map(journal.record));
    }
    expect(statSync(file).size).toBeGreaterThan(8 * 1_048_576);
    expect(statSync(`${database.file}-wal`).size).toBeLessThan(8 * 1_048_576);
    journal.close();
    expect(existsSync(`${file}-wal`)).toBe(false);
  });

  test('without its file it is set aside and told, never deleted', async () => {
    await killed(20);
    unlinkSync(file);
    const log = readFileSync(`${file}-wal`);
    const { journal, damages } = open();
    expect(damages).toMatchObject([{ reason: expect.stringMatching(/log is there.*missing/) }]);
    expect(readFileSync(damages[0]?.setAside ?? '').equals(log)).toBe(true);
    expect(await journal.record(madeEvent(1))).toBe('recorded');
    journal.close();
  });

  test('what is set aside as damaged is what was found, the log included', async () => {
    const first = open();
    await Promise.all(Array.from({ length: 2_000 }, (_, n) => first.journal.record(madeEvent(n))));
    first.journal.close();
    await killed(30, 10_000);
    const bytes = readFileSync(file);
    bytes.fill(0xa5, bytes.length >> 1, (bytes.length >> 1) + 16_384);
    writeFileSync(file, bytes);
    const log = readFileSync(`${file}-wal`);
    const { journal, damages } = open();
    journal.close();
    expect(damages).toHaveLength(1);
    // Matchers go through large buffers byte by byte, for seconds.
    expect(readFileSync(damages[0]?.setAside ?? '').equals(bytes)).toBe(true);
    expect(readFileSync(`${damages[0]?.setAside}-wal`).equals(log)).toBe(true);
  });
});

describe('an index that does not match its table', () => {
  /** Takes an event out of the table, and not out of the index of ids. */
  async function spoil(): Promise<void> {
    const { journal } = open();
    for (let n = 1; n <= 50; n++) await journal.record(madeEvent(n));
    journal.close();
    const connection = new DatabaseSync(file);
    const root = (name: string) =>
      connection.prepare('SELECT rootpage FROM sqlite_schema WHERE name = ?').get(name)?.rootpage as number;
    const [table, index] = [root('events'), root('sqlite_autoindex_events_1')];
    const pageSize = connection.prepare('PRAGMA page_size').get()?.page_size as number;
    connection.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    const page = (number: number): Buffer => readFileSync(file).subarray((number - 1) * pageSize, number * pageSize);
    const before = Buffer.from(page(index));
    connection.exec('DELETE FROM events WHERE seq = 7');
    connection.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    connection.close();
    expect(table).not.toBe(index);
    const bytes = readFileSync(file);
    before.copy(bytes, (index - 1) * pageSize);
    writeFileSync(file, bytes);
  }

  test('is made anew at the start: nothing is taken for a duplicate that is not there', async () => {
    await spoil();
    const { journal, reindexed, damages } = open();
    expect(damages).toEqual([]);
    expect(reindexed).toHaveLength(1);
    expect(await journal.record(madeEvent(7))).toBe('recorded');
    expect(await journal.record(madeEvent(8))).toBe('duplicate');
    journal.close();
  });

  test('while the journal is open it is never answered OK for', async () => {
    const { journal, database } = open();
    await journal.record(madeEvent(1));
    await journal.record(madeEvent(2));
    // The index of ids leads to a row of another event.
    database.connection.exec(`UPDATE events SET group_id = 'another' WHERE seq = 1`);
    await expect(journal.record(madeEvent(1))).rejects.toMatchObject({
      fault: { code: 'journal-unwritable', message: expect.stringMatching(/index/) },
    });
    journal.close();
  });
});

describe('the path', () => {
  const sameFault = { fault: { code: 'journal-unwritable', path: 'journal.file' } };

  test('a file that was unlinked: no OK, and it is said', async () => {
    const { journal, faults } = open();
    await journal.record(madeEvent(1));
    unlinkSync(file);
    await expect(journal.record(madeEvent(2))).rejects.toMatchObject(sameFault);
    await expect(journal.record(madeEvent(3))).rejects.toMatchObject(sameFault);
    expect(faults).toMatchObject([{ fault: { message: expect.stringMatching(/removed/) } }]);
    journal.close();
  });

  test.each([['', '-wal'], ['']])(
    'where %j%s is gone, what was answered OK is written there again, for the next start',
    async (...gone) => {
      const { journal } = open();
      for (let n = 1; n <= 20; n++) await journal.record(madeEvent(n));
      for (const suffix of gone) unlinkSync(file + suffix);
      await expect(journal.record(madeEvent(21))).rejects.toMatchObject(sameFault);
      await expect.poll(() => existsSync(file)).toBe(true);
      await expect(journal.record(madeEvent(22))).rejects.toMatchObject(sameFault);
      expect((statSync(file).mode & 0o777).toString(8)).toBe('600');
      journal.close();
      const again = open();
      const recorded = new Set(again.reader.read(0, 100).map(({ event }) => event.id));
      for (let n = 1; n <= 20; n++) expect(recorded).toContain(madeEvent(n).id);
      expect(await again.journal.record(madeEvent(22))).toBe('recorded');
      again.journal.close();
    },
  );

  test('one that was moved away and comes back: it goes on by itself, and nothing is lost', async () => {
    const { journal, heard } = open();
    await journal.record(madeEvent(1));
    renameSync(file, `${file}.elsewhere`);
    await expect(journal.record(madeEvent(2))).rejects.toMatchObject(sameFault);
    renameSync(`${file}.elsewhere`, file);
    await expect.poll(() => heard).toContain('journal.recovered');
    expect(await journal.record(madeEvent(3))).toBe('recorded');
    journal.close();
    const again = open();
    expect(again.reader.read(0, 10).map(({ event }) => event.id)).toEqual([1, 2, 3].map((n) => madeEvent(n).id));
    again.journal.close();
  });

  test('one that was replaced: no OK', async () => {
    const { journal, faults } = open();
    await journal.record(madeEvent(1));
    renameSync(file, `${file}.elsewhere`);
    writeFileSync(file, readFileSync(`${file}.elsewhere`));
    await expect(journal.record(madeEvent(2))).rejects.toMatchObject(sameFault);
    expect(faults).toMatchObject([{ fault: { message: expect.stringMatching(/replaced/) } }]);
    journal.close();
  });

  test('a log that was unlinked: no OK, and what was answered before is saved into the file', async () => {
    const { journal } = open();
    await journal.record(madeEvent(1));
    unlinkSync(`${file}-wal`);
    await expect(journal.record(madeEvent(2))).rejects.toMatchObject(sameFault);
    await expect.poll(() => readFileSync(file, 'latin1').includes(madeEvent(1).id)).toBe(true);
    journal.close();
    const again = open();
    expect(again.reader.read(0, 10)[0]?.event.id).toBe(madeEvent(1).id);
    again.journal.close();
  });
});

test('a backup that SQLite makes while the journal is open goes on where it was', async () => {
  const { journal } = open();
  await journal.record(madeEvent(1));
  const backup = join(folder, 'backup.db');
  const beside = new DatabaseSync(file, { readOnly: true });
  beside.prepare('VACUUM INTO ?').run(backup);
  beside.close();
  await journal.record(madeEvent(2));
  journal.close();
  renameSync(backup, file);
  const restored = open();
  expect(restored.damages).toEqual([]);
  expect(restored.journal.head()).toBe(1);
  expect(await restored.journal.record(madeEvent(2))).toBe('recorded');
  restored.journal.close();
});

describe('one journal, one bridge, whatever its path is called', () => {
  const OPEN = `import { openDatabase } from ${JSON.stringify(new URL('../../src/journal/database.ts', import.meta.url).href)};
    openDatabase(process.argv[1]); ${HOLD}`;

  test('through a symbolic link', async () => {
    const { journal } = open();
    const link = join(folder, 'elsewhere.db');
    symlinkSync(file, link);
    expect(refused(() => open(link))?.fault.code).toBe('journal-in-use');
    journal.close();
    const through = open(link);
    expect(await through.journal.record(madeEvent(1))).toBe('recorded');
    expect(refused(() => open())?.fault.code).toBe('journal-in-use');
    through.journal.close();
  });

  test('through a symbolic link to a folder, and one to nothing yet', async () => {
    mkdirSync(join(folder, 'real'));
    symlinkSync(join(folder, 'real'), join(folder, 'linked'));
    symlinkSync(join(folder, 'real', 'late.db'), join(folder, 'late'));
    const { journal } = open(join(folder, 'late'));
    expect(await journal.record(madeEvent(1))).toBe('recorded');
    expect(refused(() => open(join(folder, 'linked', 'late.db')))?.fault.code).toBe('journal-in-use');
    journal.close();
  });

  test.skipIf(!LINUX)('through a hard link in another folder', async () => {
    open().journal.close();
    mkdirSync(join(folder, 'other'));
    const link = join(folder, 'other', 'hard.db');
    linkSync(file, link);
    const other = await otherProcess(OPEN, file);
    const fault = refused(() => open(link))?.fault;
    expect(fault).toMatchObject({ code: 'journal-in-use', message: expect.stringContaining(`${other.pid}`) });
    await other.end();
    open(link).journal.close();
  });
});

describe('another program that has the journal locked', () => {
  const LOCK = `import { DatabaseSync } from 'node:sqlite';
    const connection = new DatabaseSync(process.argv[1]); connection.exec('BEGIN IMMEDIATE');
    setTimeout(() => process.exit(0), Number(process.argv[2])); console.log('ready');`;
  /** The longest that the event loop stood still meanwhile. */
  function standstill(): () => number {
    let last = performance.now();
    let most = 0;
    const timer = setInterval(() => {
      most = Math.max(most, performance.now() - last);
      last = performance.now();
    }, 1);
    return () => {
      clearInterval(timer);
      return most;
    };
  }

  test('for a moment: what comes is recorded afterwards, and the thread goes on', async () => {
    const { journal, faults } = open();
    await journal.record(madeEvent(1));
    await otherProcess(LOCK, file, '300');
    const most = standstill();
    expect(await journal.record(madeEvent(2))).toBe('recorded');
    expect(most()).toBeLessThan(250);
    expect(faults).toEqual([]);
    journal.close();
  });

  test('for long: it is said within 2 s who has it, and it goes on by itself', async () => {
    const { journal, faults, heard } = open();
    await journal.record(madeEvent(1));
    const other = await otherProcess(LOCK, file, '60000');
    const most = standstill();
    const start = performance.now();
    await expect(journal.record(madeEvent(2))).rejects.toMatchObject({
      fault: { code: 'journal-unwritable', message: expect.stringMatching(/locked/) },
    });
    expect(performance.now() - start).toBeLessThan(2_000);
    expect(most()).toBeLessThan(1_000);
    if (LINUX) expect(faults[0]?.fault.message).toContain(`${other.pid}`);
    await other.end();
    await expect.poll(() => heard).toContain('journal.recovered');
    expect(await journal.record(madeEvent(2))).toBe('recorded');
    journal.close();
  });
});

describe('what speaks against a place', () => {
  test.skipIf(!existsSync('/dev/shm') || !LINUX)('memory, whose folder may not be there yet', () => {
    expect(journalDoubts('/dev/shm/not/there/journal.db')).toEqual([
      expect.stringMatching(/tmpfs.*lost when the machine stops/),
    ]);
  });

  test('a file that is no database: a start would take it for a journal, and rename it', () => {
    const renamed = expect.stringMatching(/is not a SQLite database: .* set it aside/);
    expect(journalDoubts(file)).not.toContainEqual(renamed);
    writeFileSync(file, 'app: { sdkAppId: "1" }\n');
    expect(journalDoubts(file)).toContainEqual(renamed);
  });

  test('one that cannot be looked at, as after a start by another user', () => {
    symlinkSync(file, file);
    expect(journalDoubts(file)).toContainEqual(expect.stringMatching(/^this user cannot use the journal: ELOOP/));
    expect(refused(() => open())?.fault.message).toMatch(/cannot be used: ELOOP/);
  });

  test('a folder that others may enter', () => {
    const open = expect.stringMatching(/open to other users \(755\)/);
    expect(journalDoubts(file)).not.toContainEqual(open);
    chmodSync(folder, 0o755);
    expect(journalDoubts(file)).toContainEqual(open);
    chmodSync(folder, 0o700);
  });
});

describe('whose it is', () => {
  test('what the journal makes is its owner’s alone, whatever the umask', async () => {
    const umask = spawnSync('sh', [
      '-c',
      'umask 000; exec "$0" --input-type=module -e "$1" "$2"',
      process.execPath,
      `import { openDatabase } from ${JSON.stringify(new URL('../../src/journal/database.ts', import.meta.url).href)};
         openDatabase(process.argv[1]); process.kill(process.pid, 'SIGKILL');`,
      join(folder, 'made', 'deep', 'journal.db'),
    ]);
    expect(umask.stderr.toString()).toBe('');
    const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
    expect(['made', 'made/deep'].map((name) => mode(join(folder, name)))).toEqual(['700', '700']);
    const made = readdirSync(join(folder, 'made', 'deep'));
    expect(made).toEqual(expect.arrayContaining(['journal.db', 'journal.db-shm', 'journal.db-wal', 'journal.db.lock']));
    for (const name of made) expect([name, mode(join(folder, 'made', 'deep', name))]).toEqual([name, '600']);
  });

  test('files that are there are closed to others at the start', async () => {
    await killed(3);
    for (const name of readdirSync(folder)) chmodSync(join(folder, name), 0o644);
    const { journal } = open();
    for (const name of readdirSync(folder)) expect((statSync(join(folder, name)).mode & 0o777).toString(8)).toBe('600');
    journal.close();
  });
});
