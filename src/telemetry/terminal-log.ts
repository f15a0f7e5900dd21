/** The log for people at a terminal: its sentences, and a line for each callback. */
import { setTimeout as delay } from 'node:timers/promises';
import { styleText } from 'node:util';
import type { Logger } from 'pino';
import { type CanonicalEvent, type EventId, shortType } from '../model/event.ts';
import { describeFault } from '../model/fault.ts';
import { fieldsOf } from '../model/group.ts';
import type { SignalBus, Signals } from '../model/signal.ts';
import type { EventCopy } from '../model/standing.ts';
import { latency, plural, visible } from '../model/text.ts';

interface Line {
  readonly level: number;
  readonly time: number;
  readonly msg: string;
}

/** Turns a line of JSON into `04:12:03Z sentence`, coloured if it is a warning or an error. */
export function sentenceOf(json: string): string {
  const { level, time, msg } = JSON.parse(json) as Line;
  const at = styleText('dim', `${new Date(time).toISOString().slice(11, 19)}Z`, TO);
  const text = visible(msg).replaceAll('\n', '\\u000a');
  return `${at} ${level < 40 ? text : styleText(level < 50 ? 'yellow' : 'red', text, TO)}\n`;
}

const TO = { stream: process.stderr } as const;

/** Finds a recorded event, with its status at each connector on demand. */
export type FindEvent = (id: EventId) => { readonly seq: number; copies(): readonly EventCopy[] } | undefined;

type Answered = Signals['callback.answered'];

/** More than a person can read; the rest of a second's callbacks are only counted. */
const LINES_A_SECOND = 20;
/** A destination that takes longer than all of these counts as behind. */
const LOOKS_MS = [10, 20, 40, 80, 150, 300, 400, 1_000];

/** Logs a line for each callback once it is known where its event went, or after two seconds. */
export function logCallbacks(signals: SignalBus, log: Logger, find: FindEvent, stopping: AbortSignal): void {
  let written = 0;
  let more = 0;
  const beginSecond = (): void => {
    if (more > 0) log.info(`${plural(more, 'more callback')} in this second`);
    written = more = 0;
  };
  signals.on('callback.answered', (answered) => {
    if (written === 0) setTimeout(beginSecond, 1_000).unref();
    if (written === LINES_A_SECOND) {
      more++;
      return;
    }
    written++;
    const level = answered.outcome === 'failed' ? 'error' : isOdd(answered) ? 'warn' : 'info';
    void placesOf(answered.event, find, stopping).then((places) => log[level](lineOf(answered, places)));
  });
}

const isOdd = ({ fault, misnamed, outcome }: Answered): boolean =>
  fault !== undefined || misnamed !== undefined || outcome === 'quarantined';

/** Resolves with an event's seq and places; waits some time for its delivery. */
async function placesOf(event: CanonicalEvent | undefined, find: FindEvent, stopping: AbortSignal) {
  const entry = event && find(event.id);
  if (event === undefined || entry === undefined) return undefined;
  let found: readonly EventCopy[] = [];
  for (const ms of LOOKS_MS) {
    await delay(ms, undefined, { signal: stopping }).catch(() => {});
    if (stopping.aborted) break;
    found = whereNow(entry.copies);
    if (found.every(({ standing }) => standing !== 'behind')) break;
  }
  const told = found
    .filter(({ standing }) => standing !== 'filtered')
    .map(({ connector, standing, at }) => {
      const took = at === undefined ? '' : ` ${latency(Math.max(0, at - event.data.receivedAt))}`;
      return `${connector}${took}${standing === 'delivered' ? '' : ` (${standing})`}`;
    });
  return { seq: entry.seq, where: told.join(', ') || 'nowhere: every filter excludes it' };
}

/** Returns nothing if the journal cannot be read just now, since a line of the log must not fail for that. */
function whereNow(copies: () => readonly EventCopy[]): readonly EventCopy[] {
  try {
    return copies();
  } catch {
    return [];
  }
}

function lineOf(answered: Answered, places: Awaited<ReturnType<typeof placesOf>>): string {
  const { command, outcome, status, ms, fault, event, misnamed } = answered;
  const told = event === undefined ? [command] : [places && `seq ${places.seq}`, event.subject, whatOf(event)];
  const words = [status, outcome, ...told, latency(ms), places && `→ ${places.where}`];
  const line = words.filter((word) => word !== undefined && word !== '').join(' ');
  const unknown = misnamed && `unknown fields: ${misnamed.join(', ')}`;
  return [line, fault && describeFault(fault), unknown].filter((part) => part !== undefined).join('; ');
}

/** Names an event's fields, and its type unless that is a change of info. */
function whatOf(event: CanonicalEvent): string {
  const fields = fieldsOf(event).map(([field]) => field);
  const type = event.type === 'chat.group.info.changed' ? [] : [shortType(event.type)];
  return [...type, ...fields.filter((field) => field !== 'groupType' && field !== 'destroyed')].join(', ');
}
