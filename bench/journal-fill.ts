/**
 * Fills a journal with events that both connectors have taken, through the journal's own code:
 * `node bench/journal-fill.ts FOLDER EVENTS [CONNECTOR…]`, of FILL_GROUPS groups. Prints the bytes of the file at the end.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { COMMANDS } from '../src/intake/commands.ts';
import { mapCallback } from '../src/intake/mapping.ts';
import { openJournal } from '../src/journal/append.ts';
import { openDatabase } from '../src/journal/database.ts';
import { systemClock } from '../src/model/clock.ts';
import { createSignals } from '../src/model/signal.ts';
import { GROUPS } from './load/load.ts';

const [folder = '', count = '', ...connectors] = process.argv.slice(2);
const events = Number(count);
const groups = Number(process.env.FILL_GROUPS ?? GROUPS);
const SDK_APP_ID = '1400701118';
const COMMAND = 'Group.CallbackAfterGroupInfoChanged';
/** Each commit holds so many. */
const AT_ONCE = 5_000;

const file = join(folder, 'journal.db');
const database = openDatabase(file, { maxBytes: 200 * 2 ** 30 });
const journal = openJournal(database, systemClock, createSignals());
const query = { sdkAppId: SDK_APP_ID, command: COMMAND, clientIp: '113.118.225.178', platform: 'RESTAPI' };
// One event a millisecond, the newest just now.
const first = Date.now() - events;

for (let number = 0; number < events; ) {
  const until = Math.min(events, number + AT_ONCE);
  const recorded: Promise<unknown>[] = [];
  for (; number < until; number++) {
    const callback = COMMANDS.get(COMMAND)?.({
      CallbackCommand: COMMAND,
      EventTime: first + number,
      GroupId: `@TGS#BENCH${String(number % groups).padStart(6, '0')}`,
      Introduction: 'What this group is about, as its owner put it',
      Name: `filled ${number}`,
      Operator_Account: 'administrator',
      Type: 'Public',
    });
    if (!callback?.ok) throw new Error(callback?.fault.message);
    recorded.push(
      journal.record(mapCallback(SDK_APP_ID, query, callback.value, { at: first + number, nonce: String(number) })),
    );
  }
  await Promise.all(recorded);
  if (number % 500_000 === 0) process.stderr.write(`  ${number} of ${events} events in the journal\n`);
}
for (const connector of connectors)
  journal.settle({ connector, upTo: journal.head(), waiting: [], dead: [], released: [] });
journal.close();
process.stdout.write(`${statSync(file).size}\n`);
