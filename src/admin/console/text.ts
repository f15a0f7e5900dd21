import { html } from 'hono/html';
import type { HtmlEscapedString } from 'hono/utils/html';
import { figure } from '../../model/text.ts';

/*
 * Everything from outside is shown through this file: names, ids, operators, errors, raw bodies. Markup is escaped by `html`;
 * here, what cannot be seen becomes visible (control characters, marks that reorder, characters without width, halves of
 * surrogate pairs), and each text is isolated, so that one written from right to left leaves the page around it as it is.
 */

export type Html = HtmlEscapedString | Promise<HtmlEscapedString>;

/** Joiners between letters or emoji have their use, and so have Arabic number signs. Line breaks are up to the caller. */
const UNSEEN =
  /(?![\n\u0600-\u0605\u06dd\u070f\u08e2])(?:(?!(?<=[\p{L}\p{M}\p{Extended_Pictographic}\p{Emoji_Modifier}])[\u200c\u200d](?=[\p{L}\p{Extended_Pictographic}]))[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]|[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0])/gu;

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

/** Shows a text in attributes and titles, where no element can stand. */
export function plain(text: string): string {
  return text.replaceAll(UNSEEN, (character) => `⟨${codeOf(character)}⟩`).replaceAll('\n', ' ⏎ ');
}

function mark(character: string): Html {
  const code = codeOf(character);
  const name = NAMES[character];
  return html`<span class="unseen warn" title="${name === undefined ? code : `${code} ${name}`}">${code}</span>`;
}

function pieces(text: string, lines: boolean): (string | Html)[] {
  const found: (string | Html)[] = [];
  let from = 0;
  for (const match of text.matchAll(UNSEEN)) {
    found.push(text.slice(from, match.index), mark(match[0]));
    from = match.index + match[0].length;
  }
  found.push(text.slice(from));
  if (lines) return found;
  return found.flatMap((piece) =>
    typeof piece !== 'string'
      ? piece
      : piece
          .split('\n')
          .flatMap((line, index) =>
            index === 0 ? line : [html` <span class="quiet" title="line break">⏎</span> `, line],
          ),
  );
}

/** Shows a text in one line. */
export function shown(text: string): Html {
  return html`<bdi>${pieces(text, false)}</bdi>`;
}

/** Shows the beginning of a text in one line, such as a name that only identifies. */
export function brief(text: string, most = 80): Html {
  return text.length <= most ? shown(text) : html`${shown(upTo(text, most))}…`;
}

/** Shows a text that may be missing, in short. */
export function optional(text: string | undefined): Html {
  return text ? brief(text, 32) : html`<span class="quiet">–</span>`;
}

/** Shows an id, a path or a code in a typeface that tells l from 1. */
export function code(text: string): Html {
  return html`<code><bdi>${pieces(text, false)}</bdi></code>`;
}

/** Shows a text with its lines. */
export function block(text: string): Html {
  const cut = upTo(text, MOST);
  return html`<div class="block" dir="auto" tabindex="0" role="group" aria-label="The whole text">${pieces(cut, true)}${
    cut.length < text.length && html`<p class="quiet">${figure(text.length - cut.length)} more characters</p>`
  }</div>`;
}

/** Longer ones are cut even where all is shown: a page must stay one that a browser can hold. */
const MOST = 65_536;
const EXCERPT = 90;

/** Shows the value of a field: whole when short, else its beginning with the rest to open. `id` must be unique on the page. */
export function value(text: string | undefined, id: string, most = EXCERPT): Html {
  if (text === undefined) return html`<span class="quiet">not known</span>`;
  if (text === '') return html`<span class="quiet">empty</span>`;
  if (text.length <= most) return html`<span class="value">${shown(text)}</span>`;
  return html`<details class="long" id="${id}"><summary><span class="value">${shown(upTo(text, most))}…</span> <span
    class="quiet">${figure(text.length)} characters</span></summary>${block(text)}</details>`;
}

/** Returns at most `most` characters and cuts no pair of surrogates in two. */
export function upTo(text: string, most: number): string {
  if (text.length <= most) return text;
  const last = text.charCodeAt(most - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? most - 1 : most);
}

/** 2026-11-24 21:17:03; times on the page are in UTC. */
export function stamp(ms: number): string {
  const time = new Date(ms);
  return Number.isNaN(time.getTime()) ? String(ms) : time.toISOString().slice(0, 19).replace('T', ' ');
}

const iso = (ms: number): string => {
  const time = new Date(ms);
  return Number.isNaN(time.getTime()) ? '' : time.toISOString();
};

/** Shows a moment: the time, and the day unless it is today. */
export function moment(ms: number, now: number): Html {
  const [day = '', time] = stamp(ms).split(' ');
  return html`<time datetime="${iso(ms)}" title="${day} ${time} UTC">${
    stamp(now).startsWith(day) ? '' : html`<span class="quiet">${day}</span> `
  }${time}</time>`;
}

/**
 * A moment seen from now: `ago` 12 s ago, `for` for 12 s (since then), `in` in 4 s. The script counts; what the server writes
 * is the moment itself, so that it is the same at each rendering.
 */
export function relative(ms: number, tick: 'ago' | 'for' | 'in'): Html {
  const before = { ago: '', for: 'since ', in: 'at ' }[tick];
  return html`<time datetime="${iso(ms)}" data-tick="${tick}" title="${stamp(ms)} UTC">${before}${stamp(ms)} UTC</time>`;
}

/** Returns a link within the console; values may be anything. */
export function href(path: string, query: Readonly<Record<string, string | number | undefined>> = {}): string {
  const given = Object.entries(query).filter((entry): entry is [string, string | number] => entry[1] !== undefined);
  const search = new URLSearchParams(given.map(([name, text]): [string, string] => [name, String(text)])).toString();
  return search === '' ? path : `${path}?${search}`;
}
