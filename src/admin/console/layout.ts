import { html } from 'hono/html';
import { figure } from '../../model/text.ts';
import type { BridgeState } from '../contract.ts';
import { asset } from './assets.ts';
import { type Html, plain, shown } from './text.ts';

/** One part of a page. A live part is rendered again while somebody looks, and sent when it is not the same as before. */
export interface Part {
  /** Live parts have one; unique on the page. */
  readonly id?: string;
  /** Milliseconds between two renderings of a live part; a second when left out. */
  readonly every?: number;
  render(): Html | Promise<Html>;
}

export interface Page {
  /** What stands in the tab and, unless a part says otherwise, as the heading. */
  readonly title: string;
  /** The entry of the navigation it belongs to. */
  readonly place: Place;
  readonly parts: readonly Part[];
  readonly status?: 200 | 404;
}

export type Place = 'overview' | 'events' | 'groups' | 'dead-letters' | 'quarantine' | 'reconcile';

/** The part that each page has: the navigation with its counts, and whether callbacks are being recorded. */
export function navigation(status: () => BridgeState, place: Place): Part {
  return { id: 'navigation', render: () => navigationOf(status(), place) };
}

function navigationOf(status: BridgeState, place: Place): Html {
  const dead = status.connectors.reduce((sum, { deadLetters }) => sum + deadLetters, 0);
  const { quarantined } = status.journal;
  const entry = (at: Place, path: string, words: string, count = 0): Html =>
    html`<li><a href="${path}" ${
      at === place && html`aria-current="page"`
    }>${words}${count > 0 && html` <span class="count">${figure(count)}</span>`}</a></li>`;
  return html`<nav aria-label="Pages"><ul>
    ${entry('overview', '/', 'Overview')}
    ${entry('events', '/events', 'Events')}
    ${entry('groups', '/groups', 'Groups')}
    ${entry('dead-letters', '/dead-letters', 'Dead letters', dead)}
    ${entry('quarantine', '/quarantine', 'Quarantine', quarantined)}
    ${entry('reconcile', '/reconcile', 'Reconcile')}
  </ul></nav>
  <p class="readiness ${status.ready ? 'ok' : 'bad'}">${icon(status.ready ? 'ok' : 'bad')}<span>${
    status.ready ? 'Ready' : 'Not ready'
  }</span></p>`;
}

/** What an action came to, at the top of the page. */
export interface Notice {
  readonly tone: 'ok' | 'bad';
  readonly text: string;
}

export interface Rendered {
  readonly part: Part;
  readonly html: Html;
}

/** The whole document. `live` is where the script gets what changes. */
export function document(
  page: Page,
  header: Rendered,
  body: readonly Rendered[],
  context: {
    readonly live: string;
    readonly notice?: Notice | undefined;
    readonly sdkAppId: string;
    readonly signedIn: boolean;
  },
): Html {
  const { notice } = context;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${plain(page.title)} · group-sync-bridge</title>
<link rel="icon" type="image/svg+xml" href="${asset('icon.svg')}">
<link rel="stylesheet" href="${asset('console.css')}">
<script src="${asset('console.js')}" defer></script>
</head>
<body data-live="${context.live}">
<a class="skip" href="#main">Skip to the content</a>
<header class="top">
<p class="brand"><a href="/">group-sync-bridge</a> <span class="quiet">app ${shown(context.sdkAppId)}</span></p>
${wrapped(header)}
</header>
<main id="main" tabindex="-1">
${notice && html`<p class="notice ${notice.tone}" role="status" id="notice" tabindex="-1">${icon(notice.tone)}<span>${notice.text}</span></p>`}
${body.map(wrapped)}
</main>
<footer class="bottom"><p>Times are UTC.</p>${
    context.signedIn && html`<form method="post" action="/signout"><button>Sign out</button></form>`
  }<p id="liveness" class="quiet" role="status">Reload the page for newer figures.</p></footer>
</body>
</html>`;
}

function wrapped({ part, html: content }: Rendered): Html {
  return part.id === undefined ? content : html`<div class="part" id="part-${part.id}">${content}</div>`;
}

export type Tone = 'ok' | 'busy' | 'held' | 'warn' | 'bad';

/** A shape for each tone, so that none is told by its colour alone. */
const SHAPES: Readonly<Record<Tone, Html>> = {
  ok: html`<circle cx="8" cy="8" r="7"/><path class="hole" d="M4.5 8.3l2.4 2.4 4.6-5"/>`,
  busy: html`<circle cx="8" cy="8" r="7"/><path class="hole" d="M8 3.8V8l3 2"/>`,
  held: html`<circle cx="8" cy="8" r="7"/><path class="hole" d="M6 5v6M10 5v6"/>`,
  warn: html`<path d="M8 1.2l7 13H1z"/><path class="hole" d="M8 6v4M8 11.6v1"/>`,
  bad: html`<path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z"/><path class="hole" d="M8 4v5M8 11v1"/>`,
};

export function icon(tone: Tone): Html {
  return html`<svg class="icon ${tone}" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">${SHAPES[tone]}</svg>`;
}

export function badge(tone: Tone, words: string | Html): Html {
  return html`<span class="badge ${tone}">${icon(tone)}<span>${words}</span></span>`;
}
