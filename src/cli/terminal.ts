import { styleText } from 'node:util';
import { SingleBar } from 'cli-progress';

type Style = Parameters<typeof styleText>[0];

/** Adds colours on a terminal that wants them. */
export function paint(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout });
}

export function print(line = ''): void {
  process.stdout.write(`${line}\n`);
}

/** Shows control characters as such, which names and reasons from outside may hold: a terminal would obey them. */
export function visible(text: string): string {
  return text.replaceAll(/[^\P{Cc}\n]/gu, escaped);
}

function escaped(control: string): string {
  return `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** Prints columns that are as wide as their widest cell. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): void {
  for (const line of tableLines(heads, rows)) print(line);
}

/** Returns the lines of a table; `styleOf` gives the rows that stand out their style. */
export function tableLines(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  styleOf: (row: number) => Style | undefined = () => undefined,
): string[] {
  const shown = rows.map((row) => row.map((cell) => cell.replaceAll(/\p{Cc}/gu, escaped)));
  const widths = heads.map((head, column) => Math.max(head.length, ...shown.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  const styled = (row: readonly string[], index: number): string => {
    const style = styleOf(index);
    return style === undefined ? line(row) : paint(style, line(row));
  };
  return [paint('bold', line(heads)), ...shown.map(styled)];
}

export interface Progress {
  advance(): void;
  /** Takes a `total` where it has changed. */
  set(done: number, total?: number): void;
  end(): void;
}

/** Shows a bar on standard error with rate and time left; nothing where that is not a terminal. */
export function progress(label: string, total: number): Progress {
  if (!process.stderr.isTTY) return { advance() {}, set() {}, end() {} };
  const bar = new SingleBar({
    format: `${label} {bar} {percentage}% | {value}/{total} | {rate}/s | {eta_formatted} left`,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
    stream: process.stderr,
    etaBuffer: 500,
  });
  const start = performance.now();
  bar.start(total, 0, { rate: 0 });
  let done = 0;
  const set = (value: number, total?: number): void => {
    done = value;
    if (total !== undefined) bar.setTotal(total);
    bar.update(done, { rate: Math.round((done * 1000) / (performance.now() - start)) });
  };
  return { advance: () => set(done + 1), set, end: () => bar.stop() };
}
