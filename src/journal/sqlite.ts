import type { DatabaseSync } from 'node:sqlite';
import { BridgeError, type FaultCode, messageOf } from '../model/fault.ts';

/** Not imported: on Node 22 its warning of being experimental would come before anything could suppress it. */
export const sqlite = process.getBuiltinModule('node:sqlite');

/** Returns the value of a pragma that reads one. */
export function pragma(connection: DatabaseSync, name: string): unknown {
  return Object.values(connection.prepare(`PRAGMA ${name}`).get() ?? {})[0];
}

const SQLITE_BUSY = 5;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_NOTADB = 26;

function resultCode(thrown: unknown): number | undefined {
  const { errcode } = thrown as { errcode?: unknown };
  return typeof errcode === 'number' ? errcode & 0xff : undefined;
}

/** Whether SQLite waited in vain for a lock that another connection holds. */
export const isBusy = (thrown: unknown): boolean => resultCode(thrown) === SQLITE_BUSY;

/** Whether there was no room, on the disk or below journal.maxBytes. */
export const isFull = (thrown: unknown): boolean => resultCode(thrown) === SQLITE_FULL;

/** Whether the file is damaged, or not SQLite's at all. */
export const isCorrupt = (thrown: unknown): boolean =>
  [SQLITE_CORRUPT, SQLITE_NOTADB].includes(resultCode(thrown) ?? 0);

export function journalError(code: FaultCode, message: string, suggestion: string, cause?: unknown): BridgeError {
  return new BridgeError({ code, path: 'journal.file', message, suggestion }, cause);
}

export const unrecordable = (why: string, suggestion: string, cause?: unknown): BridgeError =>
  journalError('journal-unwritable', `the callback cannot be recorded: ${why}`, suggestion, cause);

/** The error for a file that may be ours, but that the system does not let this user use. */
export function inaccessible(file: string, cause: unknown): BridgeError {
  const advice =
    'let the user that the bridge runs as write it, its folder and what lies beside it, where there is room';
  return journalError('journal-unusable', `the journal ${file} cannot be used: ${messageOf(cause)}`, advice, cause);
}

export function unusable(file: string, reason: string, advice = 'move it away or set journal.file to another file') {
  const message = `the journal ${file} cannot be used: ${reason}`;
  return journalError('journal-unusable', message, `nothing was changed in it; ${advice}`);
}
