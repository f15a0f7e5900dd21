import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Closing } from './context.ts';

export interface JournalFolder {
  readonly folder: string;
  /** Bytes of the journal's file. */
  readonly bytes: number;
  remove(): Promise<void>;
}

/** A temporary folder with a journal of so many events, all delivered by these connectors. */
export async function fillJournal(
  { closing }: { closing: Closing },
  events: number,
  connectors: readonly string[],
): Promise<JournalFolder> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-journal-'));
  const removeFolder = (): void => rmSync(folder, { recursive: true, force: true });
  process.on('exit', removeFolder);
  const script = fileURLToPath(new URL('journal-fill.ts', import.meta.url));
  const child = spawn(process.execPath, [...process.execArgv, script, folder, String(events), ...connectors], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const remove = closing.add(() => {
    child.kill('SIGKILL');
    process.off('exit', removeFolder);
    removeFolder();
  });
  let printed = '';
  child.stdout.on('data', (chunk) => {
    printed += chunk;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`the journal could not be filled: exit code ${code}`);
  return { folder, bytes: Number(printed), remove };
}
