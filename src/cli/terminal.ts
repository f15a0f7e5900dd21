import { setTimeout as delay } from 'node:timers/promises';
import { styleText } from 'node:util';
import { SingleBar } from 'cli-progress';

type Style = Parameters<typeof styleText>[0];

/** Adds colours on a terminal that wants them. */
export function paint(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout });
}

export function print(...lines: readonly string[]): void {
  for (const line of lines) process.stdout.write(`${line}\n`);
}

/** Prints an answer in words, or as JSON where that was asked for. */
export function answer({ json }: { readonly json?: boolean }, value: unknown, ...words: readonly string[]): void {
  print(...(json ? [JSON.stringify(value)] : words));
}

/** Shows control characters as such, which names and reasons from outside may hold: a terminal would obey them. */
export function visible(text: string): string {
  return text.replaceAll(/[^\P{Cc}\n]/gu, escaped);
}

function escaped(control: string): string {
  return `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** Returns lines with columns as wide as their widest cell; `styleOf` gives the rows that stand out their style. */
export function tableLines(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  styleOf: (row: number) => Style | undefined = () => undefined,
): string[] {
  const shown = rows.map((row) => row.map((cell) => cell.replaceAll(/\p{Cc}/gu, escaped)));
  const widths = heads.map((head, column) => Math.max(head.length, ...shown.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[], style?: Style): string => {
    const text = cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
    return style === undefined ? text.trimEnd() : paint(style, text.trimEnd());
  };
  return [line(heads, 'bold'), ...shown.map((row, index) => line(row, styleOf(index)))];
}

/** Shows a bar on standard error with rate and time left; nothing where that is not a terminal. */
export function progress(label: string, total: number) {
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
  const set = (value: number, total = bar.getTotal()): void => {
    done = value;
    bar.setTotal(total);
    bar.update(done, { rate: Math.round((done * 1000) / (performance.now() - start)) });
  };
  return { advance: () => set(done + 1), set, end: () => bar.stop() };
}

/** Reads again and again until it is over, or until `signal`, and shows how far it is; resolves with the last reading. */
export async function follow<Reading>(
  label: string,
  read: () => Promise<Reading>,
  seen: (reading: Reading) => { readonly done: number; readonly total: number; readonly over: boolean },
  options: { readonly everyMs?: number; readonly signal?: AbortSignal } = {},
): Promise<Reading> {
  const bar = progress(label, 0);
  try {
    for (;;) {
      const reading = await read();
      const { done, total, over } = seen(reading);
      bar.set(Math.min(Math.max(done, 0), total), total);
      if (over || options.signal?.aborted) return reading;
      await delay(options.everyMs ?? 200, undefined, options).catch(() => {});
    }
  } finally {
    bar.end();
  }
}

/** Returns a signal that aborts, with its name as the reason, at the first SIGINT or SIGTERM; the second one ends the program. */
export function interruption(): AbortSignal {
  const stop = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => (stop.signal.aborted ? process.exit(1) : stop.abort(name));
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return stop.signal;
}
