import { html } from 'hono/html';
import type { DeadLetter } from '../../journal/deliveries.ts';
import { figure, plural } from '../../model/text.ts';
import { faultLines } from './connectors.ts';
import { changes, eventWords, groupLink, numberOf } from './events.ts';
import { ask, button, form, pager } from './forms.ts';
import type { Page } from './layout.ts';
import type { ConsolePorts } from './ports.ts';
import { empty, table } from './table.ts';
import { code, type Html, href, relative } from './text.ts';

const PAGE_LETTERS = 50;

/** `/dead-letters?connector=&after=`: what a destination refused for good. Without a connector: of the first that has some. */
export function deadLettersPage(ports: ConsolePorts, query: URLSearchParams): Page {
  const after = numberOf(query.get('after')) ?? 0;
  const asked = query.get('connector') || undefined;
  const chosen = (): string | undefined => {
    const { connectors } = ports.status();
    if (asked !== undefined) return connectors.find(({ name }) => name === asked)?.name;
    return (connectors.find(({ deadLetters }) => deadLetters > 0) ?? connectors[0])?.name;
  };
  return {
    title: 'Dead letters',
    place: 'dead-letters',
    parts: [
      {
        render: () => html`<h1>Dead letters</h1>
<p class="lead">Events that a destination refused for good. The events behind them went on. Each stays here until it is retried or discarded.</p>`,
      },
      {
        id: 'letters',
        render() {
          const connector = chosen();
          return html`${tabs(ports, connector)}${
            connector === undefined
              ? empty(html`No connector called ${code(asked ?? '')} runs here.`)
              : letters(ports, connector, after)
          }`;
        },
      },
    ],
  };
}

function tabs(ports: ConsolePorts, chosen: string | undefined): Html {
  return html`<nav class="tabs" aria-label="Connectors"><ul>${ports
    .status()
    .connectors.map(
      ({ name, deadLetters }) =>
        html`<li><a href="${href('/dead-letters', { connector: name })}" ${
          name === chosen && html`aria-current="page"`
        }>${name} <span class="count ${deadLetters === 0 ? 'none' : ''}">${figure(deadLetters)}</span></a></li>`,
    )}</ul></nav>`;
}

function letters(ports: ConsolePorts, connector: string, after: number): Html {
  const count = ports.status().connectors.find(({ name }) => name === connector)?.deadLetters ?? 0;
  const found = ports.operations.deadLetters(connector, after, PAGE_LETTERS);
  const back = href('/dead-letters', { connector });
  if (found.length === 0) {
    return empty(
      after > 0
        ? html`No more behind these. <a href="${back}">The oldest</a>`
        : `${connector} has no dead letters: its destination took every event.`,
    );
  }
  const last = found.at(-1)?.seq;
  return html`<div class="acts"><p><b>${plural(count, 'dead letter')}</b> of ${connector}</p>
${button('retry', { connector, back }, count === 1 ? 'Retry it' : 'Retry all')}
${ask(
  'discard-all',
  count === 1 ? 'Discard it…' : 'Discard all…',
  undefined,
  html`<p>Removes ${count === 1 ? 'it' : `all ${figure(count)}`} for good: ${connector} will then never have ${
    count === 1 ? 'this event' : 'these events'
  }, unless a replay brings ${count === 1 ? 'it' : 'them'} again.</p>
${form('discard', { connector, back }, html`<button type="submit" class="grave">Discard ${count === 1 ? 'it' : 'all'} for good</button>`)}`,
  'grave',
)}</div>
${table(
  `Dead letters of ${connector}, oldest first`,
  [
    { head: 'Seq', kind: 'figure' },
    { head: 'Group', kind: 'name' },
    { head: 'Event' },
    { head: 'Why it was refused', kind: 'wide' },
    { head: 'Given up' },
    { head: 'Do' },
  ],
  found.map((letter) => letterRow(letter, connector, back, ports)),
)}${pager(
  '/dead-letters',
  { connector },
  last !== undefined && found.length === PAGE_LETTERS ? { after: last } : undefined,
  after === 0,
  { older: 'Later ones', first: 'The oldest' },
)}`;
}

function letterRow(letter: DeadLetter, connector: string, back: string, ports: ConsolePorts) {
  const { seq, event, fault, attempts, deadAt } = letter;
  return {
    id: `letter-${connector}-${seq}`,
    cells: [
      html`${seq}`,
      groupLink(event.subject, ports.group(event.subject)?.name),
      html`<details id="letter-${seq}-event"><summary>${eventWords(event)}</summary>${changes(event, `letter-${seq}`)}<p class="quiet">${code(
        event.id,
      )}</p></details>`,
      faultLines(fault, `letter-${seq}-fault`),
      html`${relative(deadAt, 'ago')}<p class="quiet">${plural(attempts, 'attempt')}</p>`,
      html`<div class="acts">${button('retry', { connector, seq, back }, 'Retry', `seq ${seq}`)}${ask(
        `discard-${seq}`,
        'Discard…',
        `seq ${seq}`,
        html`<p>For good?</p>${form('discard', { connector, seq, back }, html`<button type="submit" class="grave">Discard seq ${seq}</button>`)}`,
        'grave',
      )}</div>`,
    ],
  };
}
