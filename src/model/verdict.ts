import type { CopyState } from './copy.ts';
import type { LaneState } from './signal.ts';
import { plural, span } from './text.ts';

/** green: nobody is needed. amber: nothing is lost, somebody may want to look. red: a person is needed. */
export const TONES = ['green', 'amber', 'red'] as const;
export type Tone = (typeof TONES)[number];

export interface Sentence {
  readonly tone: Tone;
  readonly says: string;
}

/** The two things that everybody wants to know. */
export interface Verdict {
  /** Whether callbacks are recorded. */
  readonly recording: Sentence;
  /** Whether the copies are in step; `troubles` says by connector what keeps it from being green. */
  readonly copies: Sentence & { readonly troubles: readonly Trouble[] };
}

export const TROUBLES = [
  'unreachable',
  'incomplete',
  'dead-letters',
  'behind',
  'connecting',
  'paused',
  'differs',
  'unverified',
] as const;

export interface Trouble {
  readonly connector: string;
  readonly kind: (typeof TROUBLES)[number];
  readonly tone: Exclude<Tone, 'green'>;
  /** As it goes on after the connector's name. */
  readonly says: string;
}

/** One enabled connector, as its status has it. */
export interface Standing {
  readonly name: string;
  readonly state: LaneState;
  /** Unknown while nobody could be asked. */
  readonly lag: number | null;
  readonly lagSeconds: number;
  readonly deadLetters: number;
  readonly copy?: Pick<CopyState, 'verifiedAt' | 'differing' | 'incomplete'>;
  /** How often it is compared, in ms; absent where it is not. */
  readonly verifyEvery?: number;
}

/** What is delivered within this time was never behind: every event is for a moment. */
export const BEHIND_SECONDS = 2;
/** A destination that is restarted is back within this time. */
const UNREACHABLE_MS = 60_000;
/** A comparison of a million groups takes longer than `every`. */
const VERIFIED_MS = 24 * 3_600_000;

/** Returns how both stand at the time `now`, in milliseconds since 1970. */
export function judge(recording: Sentence, connectors: readonly Standing[], now: number): Verdict {
  const troubles = connectors.flatMap((connector) => troublesOf(connector, now));
  const troubled = new Set(troubles.map(({ connector }) => connector));
  const verified = connectors.flatMap(({ verifyEvery, copy }) => (verifyEvery && copy?.verifiedAt) || []);
  const all = plural(connectors.length, 'copy', 'copies');
  const inStep =
    troubled.size === 0
      ? `${connectors.length === 1 ? 'The copy is' : `All ${all} are`} in step`
      : `${connectors.length - troubled.size} of ${all} in step`;
  const when = verified.length === 0 ? '' : `, verified ${span((now - Math.min(...verified)) / 1_000)} ago`;
  const tone = troubles.some((one) => one.tone === 'red') ? 'red' : troubles.length > 0 ? 'amber' : 'green';
  const says = [`${inStep}${when}`, ...troubles.map((one) => `${one.connector} ${one.says}`)].join('; ');
  return { recording, copies: { tone, says, troubles } };
}

function troublesOf(connector: Standing, now: number): Trouble[] {
  const troubles = [...troublesAtWork(connector, now)];
  // Where nothing is delivered nothing is compared either, which goes without saying.
  return troubles.length > 0 ? troubles : [...unverified(connector, now)];
}

function* troublesAtWork(connector: Standing, now: number): Generator<Trouble> {
  const { name, state, lag, lagSeconds, deadLetters, copy } = connector;
  const trouble = troubleOf(name);
  const behind =
    lag === null
      ? 'is behind by an unknown number of events'
      : `is ${plural(lag, 'event')} behind${lagSeconds > 0 ? ` for ${span(lagSeconds)}` : ''}`;
  const isBehind = lag !== 0 && (lag === null || lagSeconds >= BEHIND_SECONDS);
  if (state.kind === 'waiting') {
    const long = now - state.since >= UNREACHABLE_MS;
    const since = span((now - state.since) / 1_000);
    const says = lag === 0 ? `is unreachable for ${since}` : `${behind}: unreachable for ${since}`;
    yield trouble('unreachable', long ? 'red' : 'amber', says);
  } else if (state.kind === 'paused') {
    yield trouble('paused', 'amber', lag === 0 ? 'is paused' : `is paused, and ${behind}`);
  } else if (state.kind !== 'running') {
    yield trouble('connecting', 'amber', state.kind === 'ended' ? 'has ended' : 'is connecting');
  } else if (isBehind) {
    yield trouble('behind', 'amber', behind);
  }
  if (copy?.incomplete !== undefined) yield trouble('incomplete', 'red', `is incomplete: ${copy.incomplete.reason}`);
  if (deadLetters > 0) yield trouble('dead-letters', 'red', `has ${plural(deadLetters, 'dead letter')}`);
  if (copy !== undefined && copy.differing > 0) {
    yield trouble('differs', 'amber', `differs in ${copy.differing} that were not mended`);
  }
}

function* unverified({ name, copy, verifyEvery }: Standing, now: number): Generator<Trouble> {
  if (copy === undefined || verifyEvery === undefined) return;
  const trouble = troubleOf(name);
  if (copy.verifiedAt === undefined) yield trouble('unverified', 'amber', 'is not verified yet');
  else if (now - copy.verifiedAt > Math.max(VERIFIED_MS, 3 * verifyEvery)) {
    yield trouble('unverified', 'amber', `was last verified ${span((now - copy.verifiedAt) / 1_000)} ago`);
  }
}

const troubleOf =
  (connector: string) =>
  (kind: Trouble['kind'], tone: Trouble['tone'], says: string): Trouble => ({ connector, kind, tone, says });
