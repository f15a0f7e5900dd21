/** Every failure the bridge can name. The code is stable: people search for it, alerts match it. */
const known = {
  // the caller of the receiver
  'not-json': { status: 400 },
  'body-incomplete': { status: 400 },
  'query-invalid': { status: 400 },
  'callback-invalid': { status: 400 },
  'command-mismatch': { status: 400 },
  'sign-missing': { status: 401 },
  'sign-stale': { status: 401 },
  'sign-wrong': { status: 401 },
  'address-refused': { status: 403 },
  'app-mismatch': { status: 403 },
  'command-refused': { status: 403 },
  'path-unknown': { status: 404 },
  'method-unknown': { status: 405 },
  'body-too-large': { status: 413 },
  'rate-limited': { status: 429 },
  internal: { status: 503 },
  overloaded: { status: 503 },
  'forward-failed': { status: 503 },
  // the journal
  'journal-in-use': { status: 503, exit: 1 },
  'journal-unusable': { status: 503, exit: 1 },
  'journal-unwritable': { status: 503, exit: 1 },
  'journal-groups-full': { status: 503, exit: 1 },
  'quarantine-full': { status: 503, exit: 1 },
  stopping: { status: 503 },
  // a destination as a whole: its lane waits, and no event is charged
  'destination-unreachable': { exit: 1 },
  'destination-overloaded': { exit: 1 },
  'destination-credentials': { exit: 1 },
  'destination-missing': { exit: 1 },
  'destination-misconfigured': { exit: 1 },
  // one event at one destination
  'event-too-large': {},
  'event-refused': {},
  'event-unshaped': {},
  'event-conflict': {},
  'event-unsettled': {},
  // one message of a topic, for its readers
  'message-empty': {},
  'message-not-json': {},
  'message-invalid': {},
  'message-type-unknown': {},
  'message-version-unknown': {},
  'copy-unknown': {},
  // the service's REST API
  'service-unreachable': { exit: 1 },
  'service-overloaded': { exit: 1 },
  'service-credentials': { exit: 1 },
  'service-refused': { exit: 1 },
  'reconcile-running': { admin: 409, exit: 1 },
  'reconcile-unconfigured': { admin: 409, exit: 2 },
  // what a person asks of groups
  'group-unknown': { admin: 404, exit: 1 },
  'group-unsettled': { admin: 409, exit: 1 },
  // the admin server
  'token-missing': { admin: 401, exit: 2 },
  'token-wrong': { admin: 401, exit: 2 },
  'token-guessed': { admin: 429, exit: 1 },
  // the person at the command line
  'config-invalid': { admin: 422, exit: 2 },
  usage: { admin: 400, exit: 2 },
  'connector-unknown': { admin: 404, exit: 2 },
  'bridge-unreachable': { exit: 1 },
  'address-in-use': { exit: 1 },
  'address-unusable': { exit: 1 },
  'certificate-unusable': { exit: 2 },
  'command-failed': { exit: 1 },
} as const satisfies Record<string, Answers>;

interface Answers {
  /** The receiver's HTTP status. */
  readonly status?: 400 | 401 | 403 | 404 | 405 | 413 | 429 | 503;
  /** The admin server's; 503 if left out. */
  readonly admin?: 400 | 401 | 404 | 409 | 422 | 429;
  /** The exit code of a command; 1 if left out. */
  readonly exit?: 1 | 2;
}

export type FaultCode = keyof typeof known;

export const FAULTS: Readonly<Record<FaultCode, Answers>> = known;
export const FAULT_CODES = Object.keys(known) as FaultCode[];

/** A failure as a value: what went wrong, where, and what to do about it. */
export interface Fault {
  readonly code: FaultCode;
  readonly message: string;
  /** The setting, field or file concerned, e.g. `connectors.group-events.brokers`. */
  readonly path?: string;
  readonly suggestion?: string;
}

type HttpFaultCode = {
  [Code in FaultCode]: (typeof known)[Code] extends { status: number } ? Code : never;
}[FaultCode];

export type HttpFault = Fault & { readonly code: HttpFaultCode };

export type MessageFault = Fault & { readonly code: Extract<FaultCode, `message-${string}`> };

/** A value, or the fault that prevented it. */
export type Checked<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly fault: HttpFault };

export const accepted = <Value>(value: Value): Checked<Value> => ({ ok: true, value });
export const refused = (fault: HttpFault): { readonly ok: false; readonly fault: HttpFault } => ({ ok: false, fault });

export const isHttpCode = (code: FaultCode): code is HttpFaultCode => FAULTS[code].status !== undefined;
export const httpStatus = (code: HttpFaultCode) => known[code].status;
export const adminStatus = (code: FaultCode) => FAULTS[code].admin ?? 503;
export const exitCode = (code: FaultCode) => FAULTS[code].exit ?? 1;

/** A fault that the caller cannot handle: thrown, and caught where answers or messages are made. */
export class BridgeError extends Error {
  override readonly name: string = 'BridgeError';
  readonly fault: Fault;
  constructor(fault: Fault, cause?: unknown) {
    super(fault.message, { cause });
    this.fault = fault;
  }
}

/** A destination that cannot be judged event by event: its lane waits, continues by itself, and charges no event. */
export class Unreachable extends BridgeError {
  override readonly name = 'Unreachable';
  /** How long it asks to be left alone, in ms. */
  readonly afterMs: number;
  constructor(fault: Fault, cause?: unknown, afterMs = 0) {
    super(fault, cause);
    this.afterMs = afterMs;
  }
}

/** Returns one line for people: message, setting, what to do. */
export function describeFault(fault: Fault): string {
  const where = fault.path === undefined ? '' : ` (${fault.path})`;
  const hint = fault.suggestion === undefined ? '' : ` — ${fault.suggestion}`;
  return `${fault.message}${where}${hint}`;
}

/** Returns the text of whatever was thrown, with its cause if that adds something. */
export function messageOf(thrown: unknown): string {
  try {
    return textOf(thrown);
  } catch {
    // Foreign modules throw anything, such as an error that is its own cause.
    return 'what was thrown has no text';
  }
}

function textOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  // The errors are one per address of a name that was tried in vain; the whole has no message of its own.
  const each = thrown instanceof AggregateError ? thrown.errors.map(textOf).join('; ') : '';
  const own = String(thrown.message || each || thrown.name);
  const cause = thrown.cause instanceof Error ? textOf(thrown.cause) : undefined;
  return cause === undefined || own.includes(cause) ? own : `${own}: ${cause}`;
}

/** Says where it was thrown, if known: perhaps in a user's module, in something that nobody awaits there. */
export function whereThrown(failure: unknown): string {
  const stack = failure instanceof Error ? failure.stack : undefined;
  const [, place] = /[ (]((?:file:\/\/)?\/\S+:\d+:\d+)/.exec(stack ?? '') ?? [];
  return place === undefined ? '' : `, thrown at ${place}`;
}

export function faultOf(thrown: unknown, code: FaultCode): Fault {
  return thrown instanceof BridgeError ? thrown.fault : { code, message: messageOf(thrown) };
}
