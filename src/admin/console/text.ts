import { html } from 'hono/html';
import type { HtmlEscapedString } from 'hono/utils/html';
import { figure, truncate, UNSEEN as UNSEEN_ANYWHERE } from '../../model/text.ts';
import type { Texts } from './texts/index.ts';

/*
 * Shows all texts from outside: names, ids, operators, errors, raw bodies. `html` escapes markup; here, invisible characters
 * become visible (control characters, bidirectional marks, zero-width characters, lone surrogates), and each text is
 * isolated, so that one written from right to left does not disturb the page around it.
 */

export type Html = HtmlEscapedString | Promise<HtmlEscapedString>;

/** Joiners between letters or emoji are legitimate, and so are Arabic number signs. Line breaks are up to the caller. */
const USED =
  /[\n\u0600-\u0605\u06dd\u070f\u08e2]|(?<=[\p{L}\p{M}\p{Extended_Pictographic}\p{Emoji_Modifier}])[\u200c\u200d](?=[\p{L}\p{Extended_Pictographic}])/u;
const UNSEEN = new RegExp(`(?!${USED.source})${UNSEEN_ANYWHERE.source}`, 'gu');

const NAMES: Readonly<Record<string, string>> = {
  '\u0000': 'NUL',
  '\t': 'tab',
  '\r': 'carriage return',
  '\u001b': 'escape',
  '\u00ad': 'soft hyphen',
  '\u200b': 'zero width space',
  '\u200c': 'zero width non-joiner',
  '\u200d': 'zero width joiner',
  '\u200e': 'left-to-right mark',
  '\u200f': 'right-to-left mark',
  '\u2028': 'line separator',
  '\u2029': 'paragraph separator',
  '\u202a': 'left-to-right embedding',
  '\u202b': 'right-to-left embedding',
  '\u202c': 'pop directional formatting',
  '\u202d': 'left-to-right override',
  '\u202e': 'right-to-left override',
  '\u2066': 'left-to-right isolate',
  '\u2067': 'right-to-left isolate',
  '\u2068': 'first strong isolate',
  '\u2069': 'pop directional isolate',
  '\ufeff': 'byte order mark',
};

const codeOf = (character: string): string =>
  `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;

/** A run of one character becomes one mark, so that each byte from outside does not become dozens of bytes of markup. */
const RUNS = new RegExp(`(${UNSEEN.source})\\1*`, 'gu');
const RUNS_AND_BREAKS = new RegExp(`(${UNSEEN.source}|\n)\\1*`, 'gu');

const times = (count: number): string => (count === 1 ? '' : ` ×${figure(count)}`);

/** Shows a text in attributes and titles, which cannot hold elements. */
export function plain(text: string, most = 160): string {
  const found = truncate(text, most).replaceAll(RUNS_AND_BREAKS, (run, one: string) =>
    one === '\n' ? ' ⏎ ' : `⟨${codeOf(one)}${times(run.length / one.length)}⟩`,
  );
  return found + (text.length > most ? '…' : '');
}

function mark(character: string, count: number): Html {
  if (character === '\n') return html` <span class="quiet" title="line break">⏎${times(count)}</span> `;
  const code = codeOf(character);
  const name = NAMES[character];
  return html`<span class="unseen warn" title="${name === undefined ? code : `${code} ${name}`}">${code}${times(count)}</span>`;
}

/** Returns the marked-up text, cut when its marks exceed `most` characters of markup, and where the cut is. */
function pieces(
  text: string,
  lines: boolean,
  most: number,
): { readonly found: (string | Html)[]; readonly end: number } {
  const found: (string | Html)[] = [];
  let from = 0;
  let room = most;
  for (const { 0: run, 1: one = '', index } of text.matchAll(lines ? RUNS : RUNS_AND_BREAKS)) {
    const marked = mark(one, run.length / one.length);
    room -= String(marked).length;
    if (room < 0) return { found: [...found, text.slice(from, index)], end: index };
    found.push(text.slice(from, index), marked);
    from = index + run.length;
  }
  return { found: [...found, text.slice(from)], end: text.length };
}

/** The most characters of a text in a list or a heading, and of the markup of its marks. */
const MOST = 1_024;
const MOST_MARKUP = 2_048;

/** Shows a text in one line, cut to the limits of a list. */
export function shown(text: string): Html {
  const { found, end } = pieces(truncate(text, MOST), false, MOST_MARKUP);
  return html`<bdi>${found}${end < text.length && '…'}</bdi>`;
}

/** Shows the beginning of a text in one line, enough for a name that only identifies something. */
export function brief(text: string, most = 80): Html {
  return text.length <= most ? shown(text) : html`${shown(truncate(text, most))}…`;
}

export function optional(text: string | undefined): Html {
  return text ? brief(text, 32) : html`<span class="quiet">–</span>`;
}

/** Shows an id, a path or a code in a typeface that distinguishes l from 1. */
export function code(text: string): Html {
  return html`<code>${shown(text)}</code>`;
}

/** The most characters of a text on a page of its own, and of the markup of its marks. */
const PART = 32_768;
const PART_MARKUP = 131_072;

/** Shows a part of a text, with its line breaks, from an index on; `end` is where the part ends. */
export function blockFrom(t: Texts, text: string, from: number): { readonly block: Html; readonly end: number } {
  const { found, end } = pieces(truncate(text.slice(from), PART), true, PART_MARKUP);
  return { block: blockOf(t, found), end: from + end };
}

/** Shows the beginning of a text with its line breaks; `rest` is the address of a page with all of it. */
export function block(t: Texts, text: string, rest?: string): Html {
  const { found, end } = pieces(truncate(text, MOST), true, MOST_MARKUP);
  const left = t.text.more(text.length - end);
  return blockOf(t, [
    ...found,
    end < text.length && html`<p class="quiet">${rest === undefined ? left : html`<a href="${rest}">${left}</a>`}</p>`,
  ]);
}

function blockOf(t: Texts, content: readonly (string | Html | false)[]): Html {
  return html`<div class="block" dir="auto" tabindex="0" role="group" aria-label="${t.text.label}">${content}</div>`;
}

const EXCERPT = 90;

/** How a value is shown: its id, unique on the page, and the address of a page with all of it. */
export interface Place {
  readonly id: string;
  readonly rest?: string;
  readonly most?: number;
}

/** Shows the value of a field, or that it is unknown; of a long one, the beginning, with more to open. */
export function value(t: Texts, text: string | undefined, { id, rest, most = EXCERPT }: Place): Html {
  if (text === undefined) return html`<span class="quiet">${t.text.nothingKnown}</span>`;
  if (text === '') return html`<span class="quiet">${t.text.empty}</span>`;
  if (text.length <= most) return html`<span class="value">${shown(text)}</span>`;
  return html`<details class="long" id="${id}"><summary><span class="value">${shown(truncate(text, most))}…</span> <span
    class="quiet">${t.text.length(text.length)}</span></summary>${block(t, text, rest)}</details>`;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(locale: string): Intl.DateTimeFormat {
  const known = formats.get(locale);
  if (known !== undefined) return known;
  const [year, two] = ['numeric', '2-digit'] as const;
  const fields = { year, month: two, day: two, hour: two, minute: two, second: two } as const;
  const made = new Intl.DateTimeFormat(locale, { ...fields, hourCycle: 'h23', timeZone: 'UTC' });
  formats.set(locale, made);
  return made;
}

/** Returns a day and a time in UTC: 2026-11-24 21:17:03. */
export function stamp({ dates }: Texts, ms: number): string {
  return formatOf(dates).format(ms);
}

/** Shows a time, with its day unless that is today. */
export function moment(t: Texts, ms: number, now: number): Html {
  const [day = '', time] = stamp(t, ms).split(' ');
  return html`<time datetime="${new Date(ms).toISOString()}" title="${day} ${time} UTC">${
    stamp(t, now).startsWith(day) ? '' : html`<span class="quiet">${day}</span> `
  }${time}</time>`;
}

/** Shows a moment as "12 s ago", "for 12 s" or "in 4 s". The script counts; so each rendering of the server is the same. */
export function relative(t: Texts, ms: number, tick: keyof Texts['moments']): Html {
  const at = `${stamp(t, ms)} UTC`;
  return html`<time datetime="${new Date(ms).toISOString()}" data-tick="${tick}" title="${at}">${t.moments[tick](at)}</time>`;
}

export function href(path: string, query: Readonly<Record<string, string | number | undefined>> = {}): string {
  const given = Object.entries(query).filter((entry): entry is [string, string | number] => entry[1] !== undefined);
  const search = new URLSearchParams(given.map(([name, text]): [string, string] => [name, String(text)])).toString();
  return search === '' ? path : `${path}?${search}`;
}
