import { html } from 'hono/html';
import { figure } from '../../model/text.ts';
import { judge, judgeRecording, type Sentence, type Verdict } from '../../model/verdict.ts';
import { asset } from './assets.ts';
import type { View } from './ports.ts';
import { empty } from './table.ts';
import { type Html, plain, shown } from './text.ts';
import type { Texts } from './texts/index.ts';

/** A part of a page. A live one is rendered again while somebody watches, and sent if it has changed. */
export interface Part {
  /** Unique on the page. Only live parts have one. */
  readonly id?: string;
  /** Milliseconds between two renderings of a live part; 1,000 by default. */
  readonly every?: number;
  render(): Html | Promise<Html>;
}

export interface Page {
  readonly title: string;
  readonly section: Section;
  readonly parts: readonly Part[];
  readonly status?: 200 | 404;
}

type Section = keyof Texts['sections'];

const SECTIONS: readonly Section[] = ['overview', 'events', 'groups', 'dead-letters', 'quarantine', 'reconcile'];

/** The part that all pages share: the navigation with its counts, and the verdict. */
export function navigation(view: View, current: Section): Part {
  const { t } = view;
  return {
    id: 'navigation',
    render() {
      const { connectors, journal } = view.status();
      const verdict = verdictOf(view);
      const counts: Partial<Record<Section, number>> = {
        'dead-letters': connectors.reduce((sum, { deadLetters }) => sum + deadLetters, 0),
        quarantine: journal.quarantined,
      };
      const entries = SECTIONS.map((section) => {
        const path = section === 'overview' ? '/' : `/${section}`;
        return entry(path, html`${t.sections[section]}${count(counts[section])}`, section === current);
      });
      return html`<nav aria-label="${t.frame.pages}"><ul class="row">${entries}</ul></nav>
<p class="verdict row">${[verdict.recording, verdict.copies].map(sentence)}</p>`;
    },
  };
}

export const entry = (to: string, words: string | Html, isCurrent: boolean): Html =>
  html`<li><a href="${to}" ${isCurrent && html`aria-current="page"`}>${words}</a></li>`;

/** The beginning of a page: its title and an introduction. */
export const lead = (title: string, words: string): Part => ({
  render: () => html`<h1>${title}</h1>
<p class="lead quiet">${words}</p>`,
});

export const unknownPage = (section: Section, title: string, words: Html): Page => ({
  title,
  section,
  status: 404,
  parts: [{ render: () => html`<h1>${title}</h1>${empty(words)}` }],
});

/** Judges again, in the reader's language, since the verdict of the status is in English. */
export function verdictOf({ t, clock, status }: View): Verdict {
  const { connectors, reason, receiver } = status();
  return judge(judgeRecording(reason, receiver, t.verdict), connectors, clock.now(), t.verdict);
}

export const TONES: Readonly<Record<Sentence['tone'], Tone>> = { green: 'ok', amber: 'warn', red: 'bad' };

/** Shows a sentence of the verdict; its beginning suffices if there is no room for all of it. */
function sentence({ tone, says }: Sentence): Html {
  return html`<span class="${TONES[tone]}" data-tone="${tone}" title="${plain(says, 1_000)}">${icon(TONES[tone])} ${shown(says)}</span>`;
}

export function toned({ tone, says }: Sentence): Html {
  return html`${icon(TONES[tone], 20)} ${shown(says)}`;
}

/** Returns a badge with the number of things that need a person, unless there are none. */
export function count(number = 0): Html | '' {
  return number === 0 ? '' : html` <span class="badge bad">${figure(number)}</span>`;
}

export interface Notice {
  readonly tone: 'ok' | 'bad';
  readonly text: string;
}

interface Rendered {
  readonly part: Part;
  readonly html: Html;
}

/** `live` is the address of the stream of changed parts. */
export function document(
  { t, settings }: View,
  page: Page,
  [header, ...body]: readonly [Rendered, ...Rendered[]],
  live: string,
  notice: Notice | undefined,
): Html {
  const { app, admin } = settings();
  return html`<!doctype html>
<html lang="${t.lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${plain(page.title)} · group-sync-bridge</title>
<link rel="icon" type="image/svg+xml" href="${asset('icon.svg')}">
<link rel="stylesheet" href="${asset('console.css')}">
<script src="${asset('idiomorph.js')}" defer></script>
<script src="${asset('console.js')}" defer></script>
</head>
<body data-live="${live}" data-texts="${JSON.stringify(t.script)}">
<a class="skip" href="#main">${t.frame.skip}</a>
<header class="row">
<p><a class="brand" href="/"><b>group-sync-bridge</b></a> <span class="quiet small">${t.frame.app(shown(app.sdkAppId))}</span></p>
<form action="/search" role="search" class="search"><input type="search" name="q" aria-label="${t.frame.find}" placeholder="${t.frame.findHint}" autocomplete="off" spellcheck="false" required></form>
${wrapped(header)}
<p id="lost" class="callout bad" role="alert" hidden></p>
</header>
<main id="main" tabindex="-1">
${notice && html`<p class="callout ${notice.tone} row" role="status" id="notice" tabindex="-1">${icon(notice.tone)}<span>${notice.text}</span></p>`}
${body.map(wrapped)}
</main>
<footer class="row spread"><p>${t.frame.utc}</p>${
    admin.token !== undefined && html`<form method="post" action="/signout"><button>${t.frame.signOut}</button></form>`
  }<p id="liveness" role="status">${t.frame.reload}</p></footer>
</body>
</html>`;
}

function wrapped({ part, html: content }: Rendered): Html {
  return part.id === undefined ? content : html`<div class="part" id="part-${part.id}">${content}</div>`;
}

export type Tone = 'ok' | 'busy' | 'held' | 'warn' | 'bad';

/** A shape and a mark for each tone, so that colour is not the only sign. */
const SHAPES: Readonly<Record<Tone, readonly [shape: Html, mark: string]>> = {
  ok: [html`<circle cx="8" cy="8" r="7"/>`, 'M4.5 8.3l2.4 2.4 4.6-5'],
  busy: [html`<circle cx="8" cy="8" r="7"/>`, 'M8 3.8V8l3 2'],
  held: [html`<circle cx="8" cy="8" r="7"/>`, 'M6 5v6M10 5v6'],
  warn: [html`<path d="M8 1.2l7 13H1z"/>`, 'M8 6v4M8 11.6v1'],
  bad: [html`<path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z"/>`, 'M8 4v5M8 11v1'],
};

export function icon(tone: Tone, size = 16): Html {
  const [shape, mark] = SHAPES[tone];
  return html`<svg class="icon ${tone}" viewBox="0 0 16 16" width="${size}" height="${size}" aria-hidden="true"><g stroke="none">${shape}</g><path d="${mark}" fill="none" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"/></svg>`;
}

export function badge(tone: Tone, words: string | Html): Html {
  return html`<span class="badge ${tone}">${icon(tone, 14)}<span>${words}</span></span>`;
}
