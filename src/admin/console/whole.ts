import { html } from 'hono/html';
import { truncate } from '../../model/text.ts';
import { numberOf } from './events.ts';
import { pager } from './forms.ts';
import type { Page } from './layout.ts';
import type { View } from './ports.ts';
import { empty } from './table.ts';
import { blockFrom, type Html } from './text.ts';

/** `/whole?event=`, `?group=` or `?kept=`, with `from=`: everything that is kept of one thing, a part at a time. */
export function wholePage(ports: View, query: URLSearchParams): Page {
  const { t } = ports;
  const { words, text } = textOf(ports, query) ?? { words: t.whole.nothing };
  const render = (): Html => {
    const head = html`<h1>${words}</h1>`;
    if (text === undefined) return html`${head}${empty(t.whole.gone)}`;
    const asked = numberOf(query.get('from')) ?? 0;
    // A group may be shorter by now.
    const from = asked < text.length ? asked : 0;
    const { block, end } = blockFrom(t, text, from);
    const whole = Object.fromEntries(query);
    const steps = { next: t.whole.next, first: t.whole.beginning };
    return html`${head}<p class="quiet">${t.whole.part(from + 1, end, text.length)}</p>${block}
${pager(t, '/whole', { ...whole, from: undefined }, end < text.length && { from: end }, from === 0, steps)}`;
  };
  return {
    title: words,
    section: query.has('kept') ? 'quarantine' : query.has('group') ? 'groups' : 'events',
    parts: [{ render }],
    ...(text === undefined && { status: 404 }),
  };
}

function textOf(ports: View, query: URLSearchParams): { words: string; text: string | undefined } | undefined {
  const { t } = ports;
  const [seq, kept, groupId] = [numberOf(query.get('event')), numberOf(query.get('kept')), query.get('group')];
  const json = (found: unknown) => (found === undefined ? undefined : JSON.stringify(found, null, 2));
  if (seq !== undefined) {
    return { words: t.whole.event(seq), text: json(ports.journal.history.at(seq)?.event) };
  }
  if (kept !== undefined) {
    const callback = ports.journal.reader.quarantined(kept - 1, 1).find(({ id }) => id === kept);
    return { words: t.quarantine.callback(kept), text: callback && Buffer.from(callback.body).toString() };
  }
  return groupId === null
    ? undefined
    : { words: t.whole.group(truncate(groupId, 80)), text: json(ports.journal.groups.get(groupId)) };
}
