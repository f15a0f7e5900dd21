import type { Fault, FaultCode } from '../../src/model/fault.ts';
import { messageOf, Unreachable } from '../../src/model/fault.ts';

const USER_MUST_WRITE = 'let the user the bridge runs as write this file and its folder';
const ANOTHER_PATH = 'give the path of a plain file, or of one that can be created';

/** What to do about the failures that have a known remedy. */
const REMEDIES: Readonly<Record<string, readonly [FaultCode, string]>> = {
  ENOSPC: ['destination-overloaded', 'free space on its disk'],
  EDQUOT: ['destination-overloaded', 'free space or raise the quota'],
  EFBIG: ['destination-overloaded', 'move the file away: it is as large as its file system or the limits allow'],
  EACCES: ['destination-misconfigured', USER_MUST_WRITE],
  EPERM: ['destination-misconfigured', USER_MUST_WRITE],
  EROFS: ['destination-misconfigured', 'give a path on a file system that is not read-only'],
  EISDIR: ['destination-misconfigured', 'it is a folder: give the path of a file in it'],
  ENOTDIR: ['destination-misconfigured', ANOTHER_PATH],
  EEXIST: ['destination-misconfigured', ANOTHER_PATH],
  ELOOP: ['destination-misconfigured', ANOTHER_PATH],
  ENAMETOOLONG: ['destination-misconfigured', ANOTHER_PATH],
};

/** An error of the file system as Unreachable; anything else as it is. */
export function translated(thrown: unknown, path: string, name: string): unknown {
  if (!(thrown instanceof Error) || !('syscall' in thrown) || !('code' in thrown)) return thrown;
  const [code, suggestion] = REMEDIES[String(thrown.code)] ?? [
    'destination-unreachable',
    'look at the disk it lies on',
  ];
  return new Unreachable(
    fault(name, code, `The file ${path} cannot be written: ${messageOf(thrown)}`, suggestion),
    thrown,
  );
}

export function notOurs(path: string, name: string, what: string): Unreachable {
  return new Unreachable(
    fault(name, 'destination-misconfigured', `${path} ${what}`, 'give the path of a file that is for the events alone'),
  );
}

function fault(name: string, code: FaultCode, message: string, suggestion: string): Fault {
  return { code, message, path: `connectors.${name}.path`, suggestion };
}
