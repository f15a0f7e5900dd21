import { FDATASYNC } from './bare/index.ts';
import type { LoadResult } from './load/order.ts';

/** One measured number. */
export interface Figure {
  /** The measured server: `bridge`, a bare server, a peer. */
  readonly subject: string;
  readonly name: string;
  readonly value: number;
  readonly unit: '/s' | 'ms' | 's' | 'MB' | 'events' | 'callbacks' | '%';
  /** The meaning of the number, for those who read only this line. */
  readonly means: string;
}

export interface Figures {
  readonly all: readonly Figure[];
  /** Keeps it and prints it. */
  add(figure: Figure): void;
  /** p50, p99 and p99.9 of one load. */
  addLatency(subject: string, name: string, result: LoadResult, means: string): void;
  get(subject: string, name: string): number | undefined;
}

export const BRIDGE = 'bridge';
export const ACKNOWLEDGED = 'acknowledged/s';
/** The same, several times in turn with the bare server. */
export const IN_TURN = 'acknowledged/s, in turn';
export const SUSTAINED = 'sustained/s, both copies in step';

export function createFigures(print: (line: string) => void): Figures {
  const all: Figure[] = [];
  const add = (figure: Figure): void => {
    all.push(figure);
    print(`  ${figure.subject}: ${figure.name} ${shown(figure)}`);
  };
  return {
    all,
    add,
    addLatency(subject, name, { p50, p99, p999, ok, sent }, means) {
      const latency = { subject, unit: 'ms', means } as const;
      add({ ...latency, name: `${name} p50`, value: p50 });
      add({ ...latency, name: `${name} p99`, value: p99 });
      add({ ...latency, name: `${name} p99.9`, value: p999, means: `${means} (${sent} sent, ${ok} measured)` });
    },
    get: (subject, name) => all.find((figure) => figure.subject === subject && figure.name === name)?.value,
  };
}

/** The rate that others are compared with: in turn where it was measured so, the machine's better and worse minutes then being of both. */
export function compared(figures: Figures): string {
  return figures.get(FDATASYNC.name, IN_TURN) === undefined ? ACKNOWLEDGED : IN_TURN;
}

/** Returns the median of an odd number of values. */
export function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN;
}

export function shown({ value, unit }: Pick<Figure, 'value' | 'unit'>): string {
  if (Number.isNaN(value)) return '–';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  const number = new Intl.NumberFormat('en', { maximumFractionDigits: digits }).format(value);
  return unit === '/s' ? `${number}/s` : `${number} ${unit}`;
}

/** All figures, with the ratio to the bare fdatasync server's figure of the same name, else (rates) to what it acknowledges alone. */
export function table(figures: Figures): string {
  const ratios = figures.all.map((figure) => ratioToBare(figures, figure)?.toFixed(2) ?? '');
  const withRatios = ratios.some((ratio) => ratio !== '');
  const rows = figures.all.map((figure, at) => [
    figure.subject,
    figure.name,
    shown(figure),
    ...(withRatios ? [ratios[at] ?? ''] : []),
    figure.means,
  ]);
  return markdown(['', 'figure', 'value', ...(withRatios ? [`× ${FDATASYNC.name}`] : []), 'what it means'], rows);
}

export function ratioToBare(figures: Figures, { subject, name, value, unit }: Figure): number | undefined {
  if (subject === FDATASYNC.name) return undefined;
  const same = figures.get(FDATASYNC.name, name);
  if (same !== undefined) return value / same;
  const bare = unit === '/s' ? figures.get(FDATASYNC.name, compared(figures)) : undefined;
  return bare === undefined ? undefined : value / bare;
}

export function markdown(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = titles.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const rightAligned = (column: number): boolean => column > 1 && column < titles.length - 1;
  const line = (row: readonly string[]): string => {
    const cells = row.map((cell, column) =>
      rightAligned(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
    );
    return `| ${cells.join(' | ')} |`;
  };
  const rule = widths.map((width, column) =>
    rightAligned(column) ? `${'-'.repeat(width + 1)}:` : '-'.repeat(width + 2),
  );
  return [line(titles), `|${rule.join('|')}|`, ...rows.map(line)].join('\n');
}
