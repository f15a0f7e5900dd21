import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface BareKind {
  readonly name: string;
  readonly file: string;
  /** The meaning of an OK there. */
  readonly means: string;
}

export const BARE: readonly BareKind[] = [
  { name: 'bare node:http', file: 'node-http.ts', means: 'nothing: JSON parsed, nothing kept' },
  { name: 'bare Hono + fdatasync', file: 'hono-file.ts', means: 'on disk (file); no delivery' },
  { name: 'bare Hono + SQLite', file: 'hono-sqlite.ts', means: 'on disk (SQLite FULL); no delivery' },
];

/** The one that targets are ratios of. */
export const FDATASYNC = BARE[1] as BareKind;

export interface BareServer {
  readonly url: string;
  readonly pid: number;
  close(): Promise<void>;
}

/** Starts one as a process of its own with a temporary folder of its own; it ends with this process. */
export async function startBareServer({ file }: BareKind, nodeOptions: readonly string[] = []): Promise<BareServer> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-bare-'));
  const child: ChildProcess = fork(fileURLToPath(new URL(file, import.meta.url)), [join(folder, 'kept')], {
    execArgv: [...process.execArgv, ...nodeOptions],
  });
  const removeFolder = (): void => rmSync(folder, { recursive: true, force: true });
  process.on('exit', removeFolder);
  const exited = once(child, 'exit');
  const [message] = (await Promise.race([
    once(child, 'message'),
    exited.then(() => Promise.reject(new Error(`${file} ended without listening`))),
  ])) as [{ port: number }];
  return {
    url: `http://127.0.0.1:${message.port}/callback`,
    pid: child.pid ?? 0,
    async close() {
      child.kill('SIGKILL');
      await exited;
      process.off('exit', removeFolder);
      removeFolder();
    },
  };
}
