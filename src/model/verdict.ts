import { z } from 'zod';
import type { CopyState } from './copy.ts';
import type { LaneState } from './signal.ts';
import { plural, span } from './text.ts';

/** green: nobody is needed. amber: nothing is lost, but somebody may want to look. red: a person is needed. */
export const TONES = ['green', 'amber', 'red'] as const;
export type Tone = (typeof TONES)[number];

export const sentence = z.object({ tone: z.enum(TONES), says: z.string() });
export type Sentence = Readonly<z.output<typeof sentence>>;

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

const trouble = z.object({
  connector: z.string(),
  kind: z.enum(TROUBLES),
  tone: sentence.shape.tone.exclude(['green']),
  /** Continues a sentence that begins with the connector's name. */
  says: z.string(),
});
export type Trouble = Readonly<z.output<typeof trouble>>;

export const verdict = z.object({
  recording: sentence,
  /** Whether the copies are in step; `troubles` lists, by connector, what prevents green. */
  copies: sentence.extend({ troubles: z.array(trouble).readonly() }),
});
export type Verdict = Readonly<z.output<typeof verdict>>;

/** One enabled connector, as in its status. */
export interface Standing {
  readonly name: string;
  readonly state: LaneState;
  /** Unknown while nobody could be asked. */
  readonly lag: number | null;
  readonly lagSeconds: number;
  readonly deadLetters: number;
  readonly copy?: Pick<CopyState, 'verifiedAt' | 'differing'> & { readonly incomplete?: { readonly reason: string } };
  /** How often it is compared, in ms; absent if never. */
  readonly verifyEvery?: number;
}

/** A lag shorter than this does not count: every event is behind for a moment. */
const BEHIND_SECONDS = 2;
/** A destination being restarted is back within this time. */
const UNREACHABLE_MS = 60_000;
/** A comparison of a million groups takes longer than `every`. */
const VERIFIED_MS = 24 * 3_600_000;

/** The wording in one language: English defines the type. A parameter `behind` is what `behind` returned. */
type VerdictWords = typeof ENGLISH;

export const ENGLISH = {
  recorded: 'Callbacks are recorded',
  receivesNothing: 'This bridge receives no callbacks',
  notRecorded: (reason: string) => `Callbacks are not recorded: ${reason}`,
  noCopies: 'There are no copies: no connector is enabled',
  /** `compared` of them are compared; the oldest complete comparison was `verified` seconds ago. */
  copies(inStep: number, all: number, compared: number, verified: number | undefined) {
    const copies = plural(all, 'copy', 'copies');
    const some = compared < all ? `${compared} of the ${all} ` : '';
    const known = verified === undefined ? '' : `, ${some}verified ${span(verified)} ago`;
    const when = compared > 0 ? known : all === 1 ? ', not compared' : ', none of them compared';
    if (inStep < all) return `${inStep} of ${copies} in step${when}`;
    return `${all === 1 ? 'The copy is' : `All ${copies} are`} in step${when}`;
  },
  trouble: (connector: string, says: string) => `${connector} ${says}`,
  /** Separates the summary from what each connector says. */
  between: '; ',
  behind: (events: number | null, seconds: number) =>
    events === null
      ? 'is behind by an unknown number of events'
      : `is ${plural(events, 'event')} behind${seconds > 0 ? ` for ${span(seconds)}` : ''}`,
  unreachable: (seconds: number, behind: string | undefined) =>
    `${behind === undefined ? 'is' : `${behind}:`} unreachable for ${span(seconds)}`,
  paused: (behind: string | undefined) => (behind === undefined ? 'is paused' : `is paused, and ${behind}`),
  connecting: 'is connecting',
  ended: 'has ended',
  incomplete: (reason: string) => `is incomplete: ${reason}`,
  deadLetters: (count: number) => `has ${plural(count, 'dead letter')}`,
  differs: (count: number) => `differs in ${count} that were not mended`,
  neverVerified: 'is not verified yet',
  lastVerified: (seconds: number) => `was last verified ${span(seconds)} ago`,
};

/** Returns both verdicts at the time `now`, in milliseconds since 1970. */
export function judge(
  recording: Sentence,
  connectors: readonly Standing[],
  now: number,
  words: VerdictWords = ENGLISH,
): Verdict {
  if (connectors.length === 0) return { recording, copies: { tone: 'amber', says: words.noCopies, troubles: [] } };
  const troubles = connectors.flatMap((connector) => troublesOf(connector, now, words));
  const troubled = new Set(troubles.map(({ connector }) => connector));
  const compared = connectors.filter(({ verifyEvery }) => verifyEvery !== undefined).length;
  const verified = connectors.flatMap(({ verifyEvery, copy }) => (verifyEvery && copy?.verifiedAt) || []);
  const verifiedSeconds = verified.length === 0 ? undefined : (now - Math.min(...verified)) / 1_000;
  const tone = troubles.some((one) => one.tone === 'red') ? 'red' : troubles.length > 0 ? 'amber' : 'green';
  const says = [
    words.copies(connectors.length - troubled.size, connectors.length, verified.length || compared, verifiedSeconds),
    ...troubles.map((one) => words.trouble(one.connector, one.says)),
  ].join(words.between);
  return { recording, copies: { tone, says, troubles } };
}

/** Says whether callbacks are recorded; `receiver` is the URL, empty if none are received. */
export function judgeRecording(reason: string | undefined, receiver: string, words = ENGLISH): Sentence {
  if (reason !== undefined) return { tone: 'red', says: words.notRecorded(reason) };
  return { tone: 'green', says: receiver === '' ? words.receivesNothing : words.recorded };
}

function troublesOf(connector: Standing, now: number, words: VerdictWords): Trouble[] {
  const { name, state, lag, lagSeconds, deadLetters, copy, verifyEvery } = connector;
  const troubles: Trouble[] = [];
  const add = (kind: Trouble['kind'], tone: Trouble['tone'], says: string): void =>
    void troubles.push({ connector: name, kind, tone, says });

  const behind = lag === 0 ? undefined : words.behind(lag, lagSeconds);
  const isBehind = lag === null || lagSeconds >= BEHIND_SECONDS;
  if (state.kind === 'waiting') {
    const long = now - state.since >= UNREACHABLE_MS;
    add('unreachable', long ? 'red' : 'amber', words.unreachable((now - state.since) / 1_000, behind));
  } else if (state.kind === 'paused') {
    add('paused', 'amber', words.paused(behind));
  } else if (state.kind !== 'running') {
    add('connecting', 'amber', state.kind === 'ended' ? words.ended : words.connecting);
  } else if (behind !== undefined && isBehind) {
    add('behind', 'amber', behind);
  }
  if (copy?.incomplete !== undefined) add('incomplete', 'red', words.incomplete(copy.incomplete.reason));
  if (deadLetters > 0) add('dead-letters', 'red', words.deadLetters(deadLetters));
  if (copy !== undefined && copy.differing > 0) add('differs', 'amber', words.differs(copy.differing));

  // Where nothing is delivered nothing is compared either, which goes without saying.
  if (troubles.length > 0 || copy === undefined || verifyEvery === undefined) return troubles;
  if (copy.verifiedAt === undefined) add('unverified', 'amber', words.neverVerified);
  else if (now - copy.verifiedAt > Math.max(VERIFIED_MS, 3 * verifyEvery)) {
    add('unverified', 'amber', words.lastVerified((now - copy.verifiedAt) / 1_000));
  }
  return troubles;
}
