/** Wording that is shared by the console, the command line and messages. */
import { distance } from 'fastest-levenshtein';

/** Matches characters that a terminal or a page would obey, hide, or reorder its neighbours by, line feeds included. */
export const UNSEEN = /(?:[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\u115f\u1160\u2800\u3164\uffa0]|\u034f|\u17b4|\u17b5)/u;

const UNSEEN_IN_LINES = new RegExp(`(?!\n)${UNSEEN.source}`, 'gu');

/** Escapes such characters, except for line feeds, as JSON does: text in JSON keeps its meaning. */
export function visible(text: string): string {
  return text.replaceAll(UNSEEN_IN_LINES, (found) => found.split('').map(escaped).join(''));
}

export const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** Writes a whole number with separators: 1,234. */
export function figure(number: number): string {
  return number.toLocaleString('en-US', { maximumFractionDigits: 0 });
}

/** Writes a number with its noun: 1 event, 1,234 events. */
export function plural(number: number, one: string, many = `${one}s`): string {
  return `${figure(number)} ${number === 1 ? one : many}`;
}

/** Writes a number of bytes: 3 KiB, 1.2 GiB. */
export function size(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  const unit = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  const number = bytes / 1024 ** unit;
  return `${number.toLocaleString('en-US', { maximumFractionDigits: unit === 0 || number >= 100 ? 0 : 1 })} ${units[unit]}`;
}

/** Writes a rate per second: 0, < 0.1, 0.3, 12.4, 1,240. */
export function rate(perSecond: number): string {
  if (perSecond === 0) return '0';
  if (perSecond < 0.1) return '< 0.1';
  return perSecond.toLocaleString('en-US', { maximumFractionDigits: perSecond < 100 ? 1 : 0 });
}

/** Writes a short time: 0.42 ms, 7.3 ms, 120 ms, 2.1 s. */
export function latency(ms: number): string {
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${ms.toFixed(ms < 1 ? 2 : ms < 10 ? 1 : 0)} ms`;
}

/** Writes a length of time in two units at most: 9 s, 3 min 20 s, 5 h 12 min, 2 d 4 h. */
export function span(seconds: number, [d, h, min, s]: readonly string[] = ['d', 'h', 'min', 's']): string {
  const whole = Math.max(0, Math.round(seconds));
  const amounts = [
    `${Math.floor(whole / 86_400)} ${d}`,
    `${Math.floor(whole / 3_600) % 24} ${h}`,
    `${Math.floor(whole / 60) % 60} ${min}`,
    `${whole % 60} ${s}`,
  ];
  const isThere = (amount: string): boolean => !amount.startsWith('0 ');
  const first = amounts.findIndex(isThere);
  const shown = amounts.slice(first, first + 2).filter(isThere);
  return first < 0 ? `0 ${s}` : shown.join(' ');
}

/** Asks whether a close candidate was meant; undefined if there is none. */
export function didYouMean(word: string, candidates: readonly string[]): string | undefined {
  const near = nearest(word, candidates);
  return near === undefined ? undefined : `did you mean "${near}"?`;
}

export function whichConnector(name: string, connectors: readonly string[]): string {
  if (connectors.length === 0) return 'none is enabled';
  const these = `these do: ${connectors.join(', ')}`;
  return [didYouMean(name, connectors), these].filter((part) => part !== undefined).join(' ');
}

/** Returns the candidate that a person probably meant, if one is close; case does not matter. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  return candidates
    .map((candidate) => ({ candidate, away: distance(word.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, away }) => away <= Math.max(1, Math.min(3, Math.floor(candidate.length / 2.5))))
    .sort((one, other) => one.away - other.away)[0]?.candidate;
}

/** Returns at most `most` characters, without splitting a surrogate pair. */
export function truncate(text: string, most: number): string {
  if (text.length <= most) return text;
  const last = text.charCodeAt(most - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? most - 1 : most);
}
