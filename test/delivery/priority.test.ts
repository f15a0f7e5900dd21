import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

/** A connector that has to look up a name, for which it needs the thread pool. */
const CONFIG = `
app: { sdkAppId: "1400000001" }
connectors: { kafka: { kind: kafka, brokers: [localhost:1], topic: nowhere } }
`;

/** Starts delivery with it, and prints the priority of each thread once the connector has tried. */
const PROGRAM = `
  import { readdirSync, readFileSync } from 'node:fs';
  import { createSignals } from './src/model/signal.ts';
  import { loadConfig } from './src/config/load.ts';
  import { openDatabase } from './src/journal/database.ts';
  import { startDelivery } from './src/delivery/thread/host.ts';
  const [, folder] = process.argv;
  const { config } = loadConfig(folder + '/bridge.yaml', process.env);
  const journalFile = folder + '/journal.db';
  const database = openDatabase(journalFile);
  const signals = createSignals();
  const tried = new Promise((resolve) => signals.on('lane.unreachable', resolve));
  const delivery = startDelivery({ journalFile, connectors: config.connectors }, () => {}, signals);
  await tried;
  const threads = readdirSync('/proc/self/task').map((id) => {
    const [, name, rest] = /\\((.*)\\) (.*)/s.exec(readFileSync('/proc/self/task/' + id + '/stat', 'utf8'));
    return { name, nice: Number(rest.split(' ')[16]) };
  });
  process.stdout.write(JSON.stringify(threads));
  await delivery.stop(0);
  database.close();
`;

/** Where there is a lower one. */
const lowest = 19;
const canBeLowered = process.platform === 'linux' && getPriority() < lowest;

test.runIf(canBeLowered)(
  'only the delivery thread has a lower priority, and what syncs the journal does not',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'priority-'));
    writeFileSync(join(folder, 'bridge.yaml'), CONFIG);
    try {
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--input-type=module', '--eval', PROGRAM, folder],
        {
          cwd: join(import.meta.dirname, '..', '..'),
        },
      );
      const threads = JSON.parse(stdout) as { name: string; nice: number }[];
      const usual = Math.min(...threads.map(({ nice }) => nice));
      expect(threads.filter(({ nice }) => nice > usual)).toEqual([
        { name: expect.any(String), nice: Math.min(usual + 5, lowest) },
      ]);
      expect(threads.filter(({ name, nice }) => name.startsWith('libuv') && nice === usual)).not.toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
