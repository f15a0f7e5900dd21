import { html } from 'hono/html';
import type { Html } from './text.ts';
import type { Texts } from './texts/index.ts';

export interface Column {
  readonly head: string;
  /** Figures are aligned to the right; names and wide columns share the room. */
  readonly kind?: 'figure' | 'name' | 'wide';
}

export interface Row {
  /** Unique on the page, so that the script finds the row again. */
  readonly id: string;
  /** One for each column; the first names the row. */
  readonly cells: readonly (Html | string | number)[];
}

/** Limits the markup of a list, and so the time that it takes on the thread that receives callbacks. */
const LIST_CHARACTERS = 98_304;

const sizeOf = (item: Row | Html): number =>
  'cells' in item ? item.cells.reduce((sum: number, cell) => sum + String(cell).length, 0) : String(item).length;

/** Renders items until the list is full, but at least one; the caller links to the others. */
export function fitting<Item, Shown extends Row | Html>(
  items: readonly Item[],
  render: (item: Item, index: number) => Shown,
  most = LIST_CHARACTERS,
): Shown[] {
  const fit: Shown[] = [];
  let room = most;
  for (const [index, item] of items.entries()) {
    if (room < 0) break;
    const made = render(item, index);
    room -= sizeOf(made);
    fit.push(made);
  }
  return fit;
}

export function leftOut(t: Texts, count: number, where: string | Html): Html | '' {
  return count === 0 ? '' : html`<p class="quiet">${t.text.tooLarge(count, where)}</p>`;
}

/** On a narrow screen each row becomes a block of its own; the roles keep it a table for screen readers. */
export function table(caption: string, columns: readonly Column[], rows: readonly Row[]): Html {
  const head = ({ head, kind }: Column): Html =>
    html`<th scope="col" role="columnheader" class="${kind ?? ''}">${head}</th>`;
  const cell = (content: Row['cells'][number], index: number): Html => {
    const { head = '', kind }: Partial<Column> = columns[index] ?? {};
    return index === 0
      ? html`<th scope="row" role="rowheader" class="${kind ?? ''}" data-head="${head}"><div>${content}</div></th>`
      : html`<td role="cell" class="${kind ?? ''}" data-head="${head}"><div>${content}</div></td>`;
  };
  return html`<table class="panel" role="table"><caption>${caption}</caption>
<thead role="rowgroup"><tr role="row">${columns.map(head)}</tr></thead>
<tbody role="rowgroup">${rows.map(({ id, cells }) => html`<tr role="row" id="${id}">${cells.map(cell)}</tr>`)}</tbody></table>`;
}

export function empty(words: string | Html): Html {
  return html`<p class="panel quiet">${words}</p>`;
}
