/** What an answer of the endpoint, or its absence, says: about the event, the endpoint, or either. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Fault, FaultCode } from '../../src/model/fault.ts';
import type { Outcome } from '../../src/model/outcome.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The beginning of its body. */
  readonly text: string;
}

/** The endpoint: how the YAML names the connector, and the part of the URL that may be shown. The path may be a secret. */
export interface Asked {
  readonly setting: string;
  readonly origin: string;
}

export interface Trouble {
  readonly fault: Fault;
  /** How long to leave the endpoint alone, in ms. */
  readonly afterMs: number;
}

export type Judgement =
  | { readonly of: 'event'; readonly outcome: Outcome }
  /** Every event would meet it: nothing more is sent. */
  | ({ readonly of: 'endpoint' } & Trouble)
  /** It may concern this event or all of them, as the events around it will tell. */
  | ({ readonly of: 'either' } & Trouble);

/** The longest rest of a lane; resuming it ends the rest. */
const GONE_MS = 2 ** 31 - 1;
const MAX_PATIENCE_MS = 24 * 3_600_000;

type Line = readonly [code: FaultCode, option: string, suggestion: string];

const CREDENTIALS: Line = ['destination-credentials', 'headers', 'correct its credentials in headers, or secrets'];
const METHOD: Line = [
  'destination-misconfigured',
  'method',
  'the method is refused at this path: compare method and url',
];
const REFORM: Line = ['destination-misconfigured', 'format', 'it does not take this form: try the other format'];
const ELSEWHERE: Line = ['destination-misconfigured', 'url', 'see what it asks for, and compare the URL'];

/** Statuses that usually every event meets. */
const ENDPOINT: ReadonlyMap<number, Line> = new Map([
  [401, CREDENTIALS],
  [402, ELSEWHERE],
  [403, CREDENTIALS],
  [404, ['destination-missing', 'url', 'nothing is served at this path: compare the URL']],
  [405, METHOD],
  [406, REFORM],
  [407, CREDENTIALS],
  [415, REFORM],
  [421, ELSEWHERE],
  [426, ELSEWHERE],
  [428, ELSEWHERE],
  [451, ELSEWHERE],
  [501, METHOD],
]);
/** Of these, the ones that may be about a text, as for a web filter, or about a group unknown to the endpoint. */
const MAYBE_EVENT = [403, 404, 406];

const PATIENCE: Line = ['destination-overloaded', 'url', 'it asks for patience; the lane goes on by itself'];
const OVERLOADED: Line = ['destination-overloaded', 'url', 'look at its load; the lane goes on by itself'];
const FAILS: Line = ['destination-unreachable', 'url', 'look at its log; the lane goes on by itself'];

export function judge(asked: Asked, answer: Answer, eventId: string, now: number): Judgement {
  const { status, headers, text } = answer;
  const { origin, setting } = asked;
  const said = `${origin} answers ${status}${text === '' ? '' : `: ${text}`}`;
  const trouble = ([code, option, suggestion]: Line, message = said, afterMs = patienceOf(headers, now)): Trouble => ({
    fault: { code, message, path: `${setting}.${option}`, suggestion },
    afterMs: afterMs ?? 0,
  });
  if (status >= 200 && status < 300) {
    return { of: 'event', outcome: { kind: 'delivered', receipt: `${origin}#${eventId}` } };
  }
  if (status < 400) {
    const { location } = headers;
    const leads = location === undefined ? '' : `, a redirect${whereTo(location, origin)}, and none is followed`;
    const suggestion =
      location === undefined
        ? 'see what answers there: an acknowledgement is a status of 200 to 299'
        : 'give the URL that it leads to, if that is the endpoint’s, or see what stands before it';
    return {
      of: 'endpoint',
      ...trouble(['destination-misconfigured', 'url', suggestion], `${origin} answers ${status}${leads}`),
    };
  }
  if (status === 410) {
    const message = `${origin} asked to be left alone (410 Gone): nothing more is sent to it`;
    const suggestion = 'remove the connector, or correct its url; to ask once more, resume it';
    return { of: 'endpoint', ...trouble(['destination-misconfigured', 'url', suggestion], message, GONE_MS) };
  }
  const line = ENDPOINT.get(status);
  if (line !== undefined) return { of: MAYBE_EVENT.includes(status) ? 'either' : 'endpoint', ...trouble(line) };
  const asksForPatience = status === 429 || (status === 503 && patienceOf(headers, now) !== undefined);
  if (asksForPatience) return { of: 'endpoint', ...trouble(PATIENCE) };
  if (status === 408 || status === 425 || (status >= 502 && status <= 504))
    return { of: 'either', ...trouble(OVERLOADED) };
  if (status >= 500) return { of: 'either', ...trouble(FAILS) };
  const code = status === 413 ? 'event-too-large' : 'event-refused';
  const suggestion = 'make it accept this event, then: dead-letters retry';
  const fault: Fault = { code, message: `${origin} refuses the event: ${said}`, path: `${setting}.url`, suggestion };
  return { of: 'event', outcome: { kind: 'dead', fault } };
}

/** Names no path, which may be a secret. */
function whereTo(location: string, from: string): string {
  const to = URL.parse(location, from)?.origin;
  if (to === undefined) return '';
  return to === from ? ' to another path' : ` to ${to}`;
}

/** Returns Retry-After in ms, from seconds or from a date by the answering clock; undefined if there is none. */
function patienceOf(headers: IncomingHttpHeaders, now: number): number | undefined {
  const after = headers['retry-after']?.trim() ?? '';
  const ms = /^\d+$/.test(after) ? Number(after) * 1_000 : dateOf(after) - (dateOf(headers.date) || now);
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, ms), MAX_PATIENCE_MS);
}

/** Date.parse accepts much that is no HTTP date. */
function dateOf(text = ''): number {
  return /^[A-Z][a-z]+,? .*\d/.test(text) ? Date.parse(text) : Number.NaN;
}
