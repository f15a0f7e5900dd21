import { type FaultCode, messageOf, Unreachable } from '../../src/model/fault.ts';

const OVERLOADED = 'destination-overloaded';
const MISCONFIGURED = 'destination-misconfigured';
const USER_MUST_WRITE = [MISCONFIGURED, 'let the user the bridge runs as write this file and its folder'] as const;
const ANOTHER_PATH = [MISCONFIGURED, 'give the path of a plain file, or of one that can be created'] as const;

/** What to do about the failures that have a known remedy. */
const REMEDIES = new Map<unknown, readonly [FaultCode, string]>([
  ['ENOSPC', [OVERLOADED, 'free space on its disk']],
  ['EDQUOT', [OVERLOADED, 'free space or raise the quota']],
  ['EFBIG', [OVERLOADED, 'move the file away: it is as large as its file system or the limits allow']],
  ['EACCES', USER_MUST_WRITE],
  ['EPERM', USER_MUST_WRITE],
  ['EROFS', [MISCONFIGURED, 'give a path on a file system that is not read-only']],
  ['EISDIR', [MISCONFIGURED, 'it is a folder: give the path of a file in it']],
  ['ENOTDIR', ANOTHER_PATH],
  ['EEXIST', ANOTHER_PATH],
  ['ELOOP', ANOTHER_PATH],
  ['ENAMETOOLONG', ANOTHER_PATH],
]);

/** Does the work. An error of the file system is thrown as Unreachable; anything else as it is. */
export async function guarded<T>(path: string, name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (!(thrown instanceof Error) || !('syscall' in thrown) || !('code' in thrown)) throw thrown;
    const unknown = ['destination-unreachable', 'look at the disk it lies on'] as const;
    const [code, suggestion] = REMEDIES.get(thrown.code) ?? unknown;
    const message = `The file ${path} cannot be written: ${messageOf(thrown)}`;
    throw new Unreachable({ code, message, path: `connectors.${name}.path`, suggestion }, thrown);
  }
}

export function notOurs(path: string, name: string, what: string): Unreachable {
  const setting = `connectors.${name}.path`;
  const suggestion = 'give the path of a file that is for the events alone';
  return new Unreachable({ code: MISCONFIGURED, message: `${path} ${what}`, path: setting, suggestion });
}

/** Catches the error of a file that is not there. */
export function orAbsent(thrown: unknown): undefined {
  if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return undefined;
  throw thrown;
}
