import { html } from 'hono/html';
import type { DeadLetter } from '../../journal/reads.ts';
import { figure, plural } from '../../model/text.ts';
import type { ConnectorState } from '../contract.ts';
import { faultLines } from './connectors.ts';
import { changes, eventWords, groupLink, numberOf } from './events.ts';
import { askDiscard, button, pager } from './forms.ts';
import { count, type Page } from './layout.ts';
import type { ConsolePorts } from './ports.ts';
import { empty, fitting, type Row, table } from './table.ts';
import { code, type Html, href, relative } from './text.ts';

const PAGE_LETTERS = 50;

/** `/dead-letters?connector=&after=`; without a connector, those of the first that has some. */
export function deadLettersPage(ports: ConsolePorts, query: URLSearchParams): Page {
  const after = numberOf(query.get('after')) ?? 0;
  const cause = query.get('cause') || undefined;
  const asked = query.get('connector') || undefined;
  return {
    title: 'Dead letters',
    section: 'dead-letters',
    parts: [
      {
        render: () => html`<h1>Dead letters</h1>
<p class="lead quiet">Events that a destination refused for good. Later events were delivered all the same. Each stays here until it is retried or discarded.</p>`,
      },
      {
        id: 'letters',
        render() {
          const { connectors } = ports.status();
          const chosen =
            asked !== undefined
              ? connectors.find(({ name }) => name === asked)
              : (connectors.find(({ deadLetters }) => deadLetters > 0) ?? connectors[0]);
          const tabs = connectors.map(
            ({ name, deadLetters }) =>
              html`<li><a href="${href('/dead-letters', { connector: name })}" ${
                name === chosen?.name && html`aria-current="page"`
              }>${name}${count(deadLetters)}</a></li>`,
          );
          return html`<nav class="tabs" aria-label="Connectors"><ul class="row">${tabs}</ul></nav>${
            chosen === undefined
              ? empty(html`No connector called ${code(asked ?? '')} runs here.`)
              : standing(ports, chosen, cause, after)
          }`;
        },
      },
    ],
  };
}

/** Several letters are shown by their causes first; a cause leads to its letters. */
function standing(ports: ConsolePorts, state: ConnectorState, cause: string | undefined, after: number): Html {
  const { name, deadLetters, retried } = state;
  const open = retried && retried.taken - retried.delivered - retried.refused;
  const result =
    retried &&
    html`<p class="callout row ${retried.refused > 0 ? 'bad' : open ? 'busy' : 'ok'}">${plural(retried.taken, 'dead letter')} tried again: ${figure(retried.delivered)} delivered, ${figure(retried.refused)} refused again${open ? html`, ${figure(open)} under way` : ''}.</p>`;
  const list =
    deadLetters > 1 && cause === undefined && after === 0
      ? causesOf(ports, name, deadLetters)
      : letters(ports, state, cause, after);
  return html`${result ?? ''}${list}`;
}

function causesOf(ports: ConsolePorts, connector: string, total: number): Html {
  const back = href('/dead-letters', { connector });
  const rows = fitting(ports.operations.deadLetterCauses(connector), (found): Row => {
    const { cause, count, firstAt, lastAt, sample } = found;
    const acts = html`<div class="row acts">${button('retry', { connector, cause, back }, 'Retry these', `cause ${cause}`)}${askDiscard(
      `discard-${cause}`,
      {
        open: 'Discard these…',
        about: `cause ${cause}`,
        warning: html`<p>Removes ${plural(count, 'dead letter')} for good: ${connector} will never have these events, unless a replay brings them again.</p>`,
        confirm: `Discard ${figure(count)}`,
      },
      'discard',
      { connector, cause, back },
    )}<a href="${href('/dead-letters', { connector, cause })}">See them</a>
<a href="${href(`/api/connectors/${encodeURIComponent(connector)}/dead-letters`, { cause, limit: 1_000 })}" download="dead-letters-${cause}.json">Export</a></div>`;
    return {
      id: `cause-${connector}-${cause}`,
      cells: [
        figure(count),
        html`${faultLines({ ...sample.fault, message: found.reason }, `cause-${cause}`)}<p class="quiet">cause ${code(cause)}</p>`,
        html`first ${relative(firstAt, 'ago')}<br>last ${relative(lastAt, 'ago')}`,
        html`${groupLink(sample.event.subject, ports.groupName(sample.event.subject))} seq ${sample.seq}`,
        acts,
      ],
    };
  });
  return html`${actsOnAll({ connector, total, back }, ', by cause')}
${table(
  `Dead letters of ${connector}, by cause`,
  [
    { head: 'Letters', kind: 'figure' },
    { head: 'Why they were refused', kind: 'wide' },
    { head: 'Given up' },
    { head: 'Newest', kind: 'name' },
    { head: 'Actions' },
  ],
  rows,
)}`;
}

/** What can be done with all letters that are meant, below how many they are. */
function actsOnAll(
  { total, ...meant }: { connector: string; cause?: string | undefined; total: number; back: string },
  how = '',
): Html {
  const { connector } = meant;
  const [it, all] = total === 1 ? ['it', 'this event'] : ['them', 'these events'];
  return html`<div class="row acts"><p><b>${plural(total, 'dead letter')}</b> of ${connector}${how}</p>
${button('retry', meant, total === 1 ? 'Retry it' : 'Retry all')}
${askDiscard(
  'discard-all',
  {
    open: total === 1 ? 'Discard it…' : 'Discard all…',
    warning: html`<p>Removes ${total === 1 ? 'it' : `all ${figure(total)}`} for good: ${connector} will never have ${all}, unless a replay brings ${it} again.</p>`,
    confirm: `Discard ${total === 1 ? 'it' : 'all'} for good`,
  },
  'discard',
  meant,
)}</div>`;
}

function letters(
  ports: ConsolePorts,
  { name: connector, deadLetters }: ConnectorState,
  cause: string | undefined,
  after: number,
): Html {
  const found = ports.operations.deadLetters(connector, after, PAGE_LETTERS, { cause });
  const ofCause = (): number =>
    ports.operations.deadLetterCauses(connector).find((one) => one.cause === cause)?.count ?? 0;
  const total = cause === undefined ? deadLetters : ofCause();
  const back = href('/dead-letters', { connector });
  const rows = fitting(found, (letter) => letterRow(letter, connector, back, ports));
  const last = found[rows.length - 1];
  if (last === undefined) {
    return empty(
      after > 0
        ? html`There are no more after these. <a href="${back}">Back to the oldest</a>`
        : `${connector} has no dead letters: its destination took every event.`,
    );
  }
  return html`${actsOnAll({ connector, cause, total, back })}
${table(
  `Dead letters of ${connector}, oldest first`,
  [
    { head: 'Seq', kind: 'figure' },
    { head: 'Group', kind: 'name' },
    { head: 'Event' },
    { head: 'Why it was refused', kind: 'wide' },
    { head: 'Given up' },
    { head: 'Actions' },
  ],
  rows,
)}${pager('/dead-letters', { connector, cause }, ports.operations.deadLetters(connector, last.seq, 1, { cause }).length > 0 && { after: last.seq }, after === 0)}`;
}

function letterRow(letter: DeadLetter, connector: string, back: string, ports: ConsolePorts): Row {
  const { seq, event, fault, attempts, deadAt } = letter;
  const about = `seq ${seq}`;
  return {
    id: `letter-${connector}-${seq}`,
    cells: [
      seq,
      groupLink(event.subject, ports.groupName(event.subject)),
      html`<details id="letter-${seq}-event"><summary>${eventWords(event)}</summary>${changes(event, seq, `letter-${seq}`)}<p class="quiet">${code(event.id)}</p></details>`,
      faultLines(fault, `letter-${seq}-fault`),
      html`${relative(deadAt, 'ago')}<p class="quiet">${plural(attempts, 'attempt')}</p>`,
      html`<div class="row acts">${button('retry', { connector, seq, back }, 'Retry', about)}${askDiscard(
        `discard-${seq}`,
        { open: 'Discard…', about, warning: html`<p>For good?</p>`, confirm: `Discard seq ${seq}` },
        'discard',
        { connector, seq, back },
      )}</div>`,
    ],
  };
}
