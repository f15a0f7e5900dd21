import { html } from 'hono/html';
import { type Html, href } from './text.ts';

/** A plain form below /actions/, answered by a page with a notice. */
export function form(
  action: string,
  fields: Readonly<Record<string, string | number | undefined>>,
  content: Html | readonly Html[],
): Html {
  const given = Object.entries(fields).filter(([, text]) => text !== undefined);
  return html`<form method="post" action="/actions/${action}">${given.map(
    ([name, text]) => html`<input type="hidden" name="${name}" value="${text}">`,
  )}${content}</form>`;
}

/** A form that is nothing but its button. `about` says to whom it belongs, where the words alone do not. */
export function button(
  action: string,
  fields: Readonly<Record<string, string | number | undefined>>,
  words: string,
  about?: string,
): Html {
  return form(
    action,
    fields,
    html`<button type="submit">${words}${about !== undefined && html`<span class="aside"> ${about}</span>`}</button>`,
  );
}

/** What cannot be taken back, or costs something, asks first: the button stands behind one that opens it. */
export function ask(
  id: string,
  words: string,
  about: string | undefined,
  content: Html,
  tone: 'plain' | 'grave' = 'plain',
): Html {
  return html`<details class="ask ${tone}" id="${id}" name="ask"><summary>${words}${
    about !== undefined && html`<span class="aside"> ${about}</span>`
  }</summary><div class="asked">${content}</div></details>`;
}

/** Older entries, and back to the newest. */
export function pager(
  path: string,
  query: Readonly<Record<string, string | number | undefined>>,
  older: Readonly<Record<string, string | number>> | undefined,
  first: boolean,
  words: { readonly older: string; readonly first: string },
): Html | '' {
  if (first && older === undefined) return '';
  return html`<nav class="pager" aria-label="More entries">${
    !first && html`<a href="${href(path, query)}">${words.first}</a>`
  }${older !== undefined && html`<a href="${href(path, { ...query, ...older })}">${words.older}</a>`}</nav>`;
}
