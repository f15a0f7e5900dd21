import type { Context } from 'hono';
import { html } from 'hono/html';
import { stream } from 'hono/streaming';
import type { DeadLetter } from '../../journal/reads.ts';
import { figure } from '../../model/text.ts';
import type { ConnectorState } from '../contract.ts';
import { faultLines } from './connectors.ts';
import { changes, groupLink, numberOf } from './events.ts';
import { askDiscard, button, pager } from './forms.ts';
import { count, entry, lead, type Page } from './layout.ts';
import type { ConsolePorts, View } from './ports.ts';
import { empty, fitting, type Row, table } from './table.ts';
import { code, type Html, href, relative } from './text.ts';
import type { Texts } from './texts/index.ts';

const PAGE_LETTERS = 50;

/** `/dead-letters?connector=&cause=&after=`; by default, of the first connector that has some. */
export function deadLettersPage(ports: View, query: URLSearchParams): Page {
  const { t } = ports;
  const after = numberOf(query.get('after')) ?? 0;
  const cause = query.get('cause') || undefined;
  const asked = query.get('connector') || undefined;
  return {
    title: t.sections['dead-letters'],
    section: 'dead-letters',
    ...(asked !== undefined && !ports.connectors().includes(asked) && { status: 404 }),
    parts: [
      lead(t.sections['dead-letters'], t.deadLetters.lead),
      {
        id: 'letters',
        render() {
          const { connectors } = ports.status();
          const chosen =
            asked !== undefined
              ? connectors.find(({ name }) => name === asked)
              : (connectors.find(({ deadLetters }) => deadLetters > 0) ?? connectors[0]);
          const tabs = connectors.map(({ name, deadLetters }) =>
            entry(
              href('/dead-letters', { connector: name }),
              html`${name}${count(deadLetters)}`,
              name === chosen?.name,
            ),
          );
          return html`<nav class="tabs" aria-label="${t.connectors.title}"><ul class="row">${tabs}</ul></nav>${
            chosen === undefined
              ? empty(t.deadLetters.unknown(code(asked ?? '')))
              : standing(ports, chosen, cause, after)
          }`;
        },
      },
    ],
  };
}

/** Several dead letters are first shown by cause; a cause leads to its letters. */
function standing(ports: View, state: ConnectorState, cause: string | undefined, after: number): Html {
  const { name, deadLetters, retried } = state;
  const open = retried === undefined ? 0 : retried.taken - retried.delivered - retried.refused;
  const result =
    retried &&
    html`<p class="callout row ${retried.refused > 0 ? 'bad' : open > 0 ? 'busy' : 'ok'}">${ports.t.deadLetters.triedAgain(retried.taken, retried.delivered, retried.refused, open)}</p>`;
  const list =
    deadLetters > 1 && cause === undefined && after === 0
      ? causesOf(ports, name, deadLetters)
      : letters(ports, state, cause, after);
  return html`${result ?? ''}${list}`;
}

function causesOf(ports: View, connector: string, total: number): Html {
  const { t } = ports;
  const back = href('/dead-letters', { connector });
  const rows = fitting(ports.delivery.operations.deadLetterCauses(connector), (found): Row => {
    const { cause, count, firstAt, lastAt, sample } = found;
    const acts = html`<div class="row acts">${settling(t, { connector, cause, back }, count, t.deadLetters.cause(cause))}<a href="${href('/dead-letters', { connector, cause })}">${t.group.seeDeadLetters}</a>
<a href="${href('/dead-letters/export', { connector, cause })}" download="dead-letters-${cause}.ndjson">${t.deadLetters.export}</a></div>`;
    return {
      id: `cause-${connector}-${cause}`,
      cells: [
        figure(count),
        html`${faultLines(t, { ...sample.fault, message: found.reason }, `cause-${cause}`)}<p class="quiet">${t.deadLetters.cause(code(cause))}</p>`,
        html`${t.deadLetters.first(relative(t, firstAt, 'ago'))}<br>${t.deadLetters.last(relative(t, lastAt, 'ago'))}`,
        html`${groupLink(sample.event.subject, ports.journal.groups.nameOf(sample.event.subject))} seq ${sample.seq}`,
        acts,
      ],
    };
  });
  return html`${onAll(t, { connector, back }, total)}
${table(
  t.deadLetters.byCause(connector),
  [
    { head: t.deadLetters.letters, kind: 'figure' },
    { head: t.deadLetters.why, kind: 'wide' },
    { head: t.deadLetters.givenUp },
    { head: t.deadLetters.newest, kind: 'name' },
    { head: t.deadLetters.actions },
  ],
  rows,
)}`;
}

/** All dead letters of a connector, those of one cause, or a single one. */
interface Meant {
  readonly connector: string;
  readonly cause?: string | undefined;
  readonly seq?: number;
  readonly back: string;
}

/** Offers to retry or discard `count` dead letters; `about` names them unless they are all on the page. */
function settling(t: Texts, meant: Meant, count: number, about?: string | Html): Html {
  const { deadLetters: words } = t;
  const [again, gone] = about === undefined ? [words.retryAll, words.discardAll] : [words.retry, words.discard];
  return html`${button('retry', { ...meant }, again, about)}
${askDiscard(
  `discard-${meant.seq ?? meant.cause ?? 'all'}`,
  {
    open: gone,
    about,
    warning: words.warning(count, meant.connector),
    confirm: words.confirm(count),
  },
  'discard',
  { ...meant },
)}`;
}

const onAll = (t: Texts, meant: Meant, total: number): Html =>
  html`<div class="row acts"><p>${t.deadLetters.total(total, meant.connector)}</p>${settling(t, meant, total)}</div>`;

function letters(
  ports: View,
  { name: connector, deadLetters }: ConnectorState,
  cause: string | undefined,
  after: number,
): Html {
  const { t } = ports;
  const found = ports.delivery.operations.deadLetters(connector, after, PAGE_LETTERS, { cause });
  const ofCause = (): number =>
    ports.delivery.operations.deadLetterCauses(connector).find((one) => one.cause === cause)?.count ?? 0;
  const total = cause === undefined ? deadLetters : ofCause();
  const back = href('/dead-letters', { connector });
  const rows = fitting(found, (letter) => letterRow(letter, connector, back, ports));
  const last = found[rows.length - 1];
  if (last === undefined) {
    return empty(
      after > 0
        ? html`${t.text.noMore} <a href="${back}">${t.text.oldest}</a>`
        : t.deadLetters[deadLetters > 0 ? 'noneOfCause' : 'none'](connector),
    );
  }
  return html`${onAll(t, { connector, cause, back }, total)}
${table(
  t.deadLetters.oldestFirst(connector),
  [
    { head: t.events.seq, kind: 'figure' },
    { head: t.event.group, kind: 'name' },
    { head: t.events.type },
    { head: t.deadLetters.why, kind: 'wide' },
    { head: t.deadLetters.givenUp },
    { head: t.deadLetters.actions },
  ],
  rows,
)}${pager(t, '/dead-letters', { connector, cause }, ports.delivery.operations.deadLetters(connector, last.seq, 1, { cause }).length > 0 && { after: last.seq }, after === 0)}`;
}

function letterRow(letter: DeadLetter, connector: string, back: string, ports: View): Row {
  const { seq, event, fault, attempts, deadAt } = letter;
  const { t } = ports;
  return {
    id: `letter-${connector}-${seq}`,
    cells: [
      seq,
      groupLink(event.subject, ports.journal.groups.nameOf(event.subject)),
      html`<details id="letter-${seq}-event"><summary>${t.events.types[event.type]}</summary>${changes(t, event, seq, `letter-${seq}`)}<p class="quiet">${code(event.id)}</p></details>`,
      faultLines(t, fault, `letter-${seq}-fault`),
      html`${relative(t, deadAt, 'ago')}<p class="quiet">${t.event.attempts(attempts)}</p>`,
      html`<div class="row acts">${settling(t, { connector, seq, back }, 1, `seq ${seq}`)}</div>`,
    ],
  };
}

/** `/dead-letters/export?connector=&cause=`: all of them as lines of JSON, like the command's. */
export function exportLetters({ clock, delivery: { operations } }: ConsolePorts, context: Context): Response {
  const { connector = '', cause } = context.req.query();
  const page = (after: number): DeadLetter[] => operations.deadLetters(connector, after, PAGE_LETTERS, { cause });
  let found = page(0);
  context.header('content-type', 'application/x-ndjson');
  return stream(context, async (out) => {
    for (let last = found.at(-1); last !== undefined && !out.aborted; last = found.at(-1)) {
      await out.write(found.map((letter) => `${JSON.stringify(letter)}\n`).join(''));
      // Callbacks come first.
      await clock.sleep(0);
      found = page(last.seq);
    }
  });
}
