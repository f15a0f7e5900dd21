import { html } from 'hono/html';
import { type Html, href } from './text.ts';
import type { Texts } from './texts/index.ts';

type Fields = Readonly<Record<string, string | number | undefined>>;

export function form(action: string, fields: Fields, content: Html): Html {
  const given = Object.entries(fields).filter(([, text]) => text !== undefined);
  return html`<form method="post" action="/actions/${action}">${given.map(
    ([name, text]) => html`<input type="hidden" name="${name}" value="${text}">`,
  )}${content}</form>`;
}

/** A form with nothing but its button. `about` names what it concerns, for screen readers, if the words alone do not. */
export function button(action: string, fields: Fields, words: string, about?: string | Html): Html {
  return form(action, fields, html`<button type="submit">${words}${aside(about)}</button>`);
}

/** Asks before a costly or irreversible action: this opens a box, which holds the form. */
export function ask(
  id: string,
  words: string,
  about: string | Html | undefined,
  content: Html,
  tone: 'plain' | 'grave' = 'plain',
): Html {
  return html`<details class="ask" id="${id}" name="ask"><summary class="${tone}">${words}${aside(about)}</summary><div class="asked panel">${content}</div></details>`;
}

export function askDiscard(
  id: string,
  words: {
    readonly open: string;
    readonly about: string | Html | undefined;
    readonly warning: string;
    readonly confirm: string;
  },
  action: string,
  fields: Fields,
): Html {
  const confirm = form(action, fields, html`<button type="submit" class="grave">${words.confirm}</button>`);
  return ask(id, words.open, words.about, html`<p>${words.warning}</p>${confirm}`, 'grave');
}

const aside = (about: string | Html | undefined): Html | false =>
  about !== undefined && html`<span class="aside"> ${about}</span>`;

/** Links to the next page, by the query `next`, and back to the first one. */
export function pager(
  t: Texts,
  path: string,
  query: Fields,
  next: Readonly<Record<string, string | number>> | false,
  first: boolean,
  words: { readonly next: string; readonly first: string } = { next: t.text.later, first: t.text.oldest },
): Html | '' {
  if (first && next === false) return '';
  return html`<nav class="row" aria-label="${t.text.pager}">${
    !first && html`<a href="${href(path, query)}">${words.first}</a>`
  }${next !== false && html`<a href="${href(path, { ...query, ...next })}">${words.next}</a>`}</nav>`;
}
