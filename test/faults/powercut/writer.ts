/**
 * `node writer.ts FOLDER SEED FROM EVENTS ENDS [BROKEN]`: a journal in use, recorded by recorder.c. Notes each event that was
 * recorded in FOLDER/ok, as a client does, and each that a lane has delivered in FOLDER/delivered.
 * ENDS: `close`, `kill`, or `failure`: killed as soon as the journal says that it cannot record.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { openJournal } from '../../../src/journal/append.ts';
import { type Database, openDatabase, openReader } from '../../../src/journal/database.ts';
import { createDeliveryReader } from '../../../src/journal/reads.ts';
import { systemClock } from '../../../src/model/clock.ts';
import { createSignals } from '../../../src/model/signal.ts';
import { createRandom } from '../random.ts';
import { type Broken, eventOf, JOURNAL } from './workload.ts';

const [folder = '', seed = '', from = '', events = '', ends = 'close', broken = ''] = process.argv.slice(2);
const random = createRandom(Number(seed) + Number(from));
const database = broke(openDatabase(join(folder, JOURNAL)), broken as Broken | '');
const signals = createSignals();
const die = (): void => void process.kill(process.pid, 'SIGKILL');
if (ends === 'failure') signals.on('journal.failed', die);
const journal = openJournal(database, systemClock, signals, () => ['lane']);
const reader = createDeliveryReader(openReader(join(folder, JOURNAL)));
const ok = openSync(join(folder, 'ok'), 'a');
const delivered = openSync(join(folder, 'delivered'), 'a');

/** A copy of the journal that breaks its promise in one place. */
function broke(database: Database, how: Broken | ''): Database {
  const { log, connection } = database;
  if (how === 'synchronous-off') connection.exec('PRAGMA synchronous = OFF');
  if (how === 'ok-before-sync') {
    return { ...database, log: { ...log, sync: async () => void log.sync().catch(() => {}) } };
  }
  if (how === 'sync-skipped') return { ...database, log: { ...log, sync: async () => {}, syncNow: () => {} } };
  return database;
}

let cursor = reader.cursor('lane');
let waiting = new Set<number>();
/** A lane: what it takes it has delivered before it says so. */
function deliver(): void {
  const entries = reader.read(cursor, random.between(1, 40));
  const last = entries.at(-1);
  if (last === undefined) return;
  const late = entries.filter(() => random.next() < 0.05).map(({ seq }) => seq);
  const taken = entries.filter(({ seq }) => !late.includes(seq));
  const released = [...waiting].filter(() => random.next() < 0.3);
  const ids = [...taken.map(({ event }) => event.id), ...released.map((seq) => reader.read(seq - 1, 1)[0]?.event.id)];
  writeSync(delivered, ids.map((id) => `${id}\n`).join(''));
  cursor = last.seq;
  const fault = { code: 'event-unsettled', message: 'later' } as const;
  waiting = new Set([...waiting, ...late].filter((seq) => !released.includes(seq)));
  journal.settle({
    connector: 'lane',
    upTo: broken === 'cursor-ahead' ? cursor + 15 : cursor,
    waiting: late.map((seq) => ({ seq, attempts: 1, dueAt: 0, fault })),
    dead: [],
    released,
  });
}

let next = Number(from);
const end = next + Number(events);
const record = async (n: number): Promise<void> => {
  try {
    await journal.record(eventOf(n));
    writeSync(ok, `${n}\n`);
  } catch {
    // It was refused: nothing is promised.
  }
};
const open = new Set<Promise<void>>();
while (next < end) {
  for (let burst = random.between(1, 12); burst > 0 && next < end; burst--) {
    const one = record(next++).finally(() => open.delete(one));
    open.add(one);
  }
  if (random.next() < 0.3) deliver();
  if (random.next() < 0.03) await journal.prune(0, () => reader.cursor('lane'), 20).catch(() => {});
  while (open.size > random.between(0, 20)) await Promise.race(open);
  await nextTurn();
}
await Promise.all(open);
if (ends === 'kill' || ends === 'failure') die();
journal.close();
closeSync(ok);
closeSync(delivered);
process.exit(0);
