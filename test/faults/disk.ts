/** The journal on a file system of a few MB that fills up while Kafka cannot be reached. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Verdict } from './oracle.ts';
import type { FaultyServers } from './servers.ts';
import { createTestbed } from './testbed.ts';
import { waitUntil } from './wait.ts';

interface SmallDisk {
  readonly folder: string;
  enlarge(megabytes: number): void;
  remove(): void;
}

/** A tmpfs of its own. Throws where that is not allowed. */
function mountSmallDisk(megabytes: number): SmallDisk {
  const folder = mkdtempSync(join(tmpdir(), 'bridge-small-disk-'));
  let mounted = false;
  const run = (command: string, ...args: string[]): void => {
    const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
  };
  const remove = (): void => {
    process.off('exit', remove);
    // Lazily: whoever still has a file open on it must not keep it in the tree.
    if (mounted) run('umount', '-l', folder);
    mounted = false;
    rmdirSync(folder);
  };
  process.on('exit', remove);
  try {
    run('mount', '-t', 'tmpfs', '-o', `size=${megabytes}m`, 'bridge-faults', folder);
    mounted = true;
  } catch (thrown) {
    remove();
    throw thrown;
  }
  return { folder, enlarge: (size) => run('mount', '-o', `remount,size=${size}m`, folder), remove };
}

/** Returns why the disk cannot be made; undefined when it can. */
export function whyNoSmallDisk(): string | undefined {
  try {
    mountSmallDisk(1).remove();
    return undefined;
  } catch (thrown) {
    return `a tmpfs cannot be mounted here (root on Linux can): ${(thrown as Error).message}`;
  }
}

export interface FullDiskReport {
  readonly answeredOkWhenFull: number;
  /** Non-OK answers and failures of the whole time, with their number. */
  readonly failures: ReadonlyMap<string, number>;
  /** The answers of /readyz: when full, then with room again. */
  readonly readiness: readonly [full: number, roomy: number];
  /** From the moment there is room until a callback is answered OK again. */
  readonly recordsAgainMs: number;
  /** From the moment there is room and Kafka can be reached until both connectors are in step. */
  readonly recoveryMs: number;
  readonly verdict: Verdict;
}

/** `restart`: the bridge is killed and started again while the disk is full. */
export async function fillDisk(servers: FaultyServers, restart: boolean): Promise<FullDiskReport> {
  const disk = mountSmallDisk(4);
  await servers.proxies.kafka.refuse();
  try {
    const testbed = await createTestbed(servers, {
      load: { rate: 1_500, groups: 100, connections: 12 },
      proxied: true,
      journalFolder: disk.folder,
      connector: { retry: { initialMs: 100, maxMs: 1_000 } },
    });
    const { bridge, load } = testbed;
    try {
      const failures = new Map<string, number>();
      const note = (): void => {
        for (const [failure, count] of load.failures()) failures.set(failure, (failures.get(failure) ?? 0) + count);
      };
      const refused = (): number => {
        note();
        return failures.get('HTTP 503') ?? 0;
      };
      const readiness = async (): Promise<number> => (await fetch(`${bridge.adminUrl}/readyz`)).status;

      await waitUntil(() => refused() >= 12, 'the disk is full: callbacks are answered 503');
      const answeredOkWhenFull = load.ledger.answeredOk;
      const whenFull = await readiness();
      if (restart) {
        await bridge.kill();
        bridge.launch();
        await bridge.answering();
      }

      disk.enlarge(128);
      const room = performance.now();
      const before = load.ledger.answeredOk;
      const recordsAgainMs = await waitUntil(
        () => load.ledger.answeredOk > before + 12,
        'callbacks are recorded again',
      );
      await waitUntil(async () => (await readiness()) === 200, 'the bridge says that it is ready');
      await servers.proxies.kafka.accept();
      const verdict = await testbed.verify();
      note();
      return {
        answeredOkWhenFull,
        failures,
        readiness: [whenFull, await readiness()],
        recordsAgainMs,
        recoveryMs: performance.now() - room,
        verdict,
      };
    } finally {
      await testbed.close();
    }
  } finally {
    await servers.proxies.kafka.accept();
    disk.remove();
  }
}
