import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { styleText } from 'node:util';
import { visible } from '../model/text.ts';

type Style = Parameters<typeof styleText>[0];

/** Stands for the escape character in this program's own sequences until they are written; outsiders cannot guess it. */
const OWN = `<${randomUUID()}>`;

/** Marks a sequence of this program's own. */
export const sequence = (text: string): string => text.replaceAll('\x1b', OWN);

/** Adds colours if the terminal wants them. */
export function paint(style: Style, text: string): string {
  return sequence(styleText(style, visible(text), { stream: process.stdout }));
}

/** Writes text for people, always: it makes visible whatever a terminal would obey, except this program's own sequences. */
export function write(stream: NodeJS.WriteStream, text: string): void {
  stream.write(text.split(OWN).map(visible).join('\x1b'));
}

/** Lines for people, in nested lists; false and undefined are left out. */
export type Lines = string | false | undefined | readonly Lines[];

export function linesOf(lines: Lines): readonly string[] {
  if (typeof lines === 'string') return [lines];
  return lines ? lines.flatMap(linesOf) : [];
}

export function print(...lines: readonly Lines[]): void {
  for (const line of linesOf(lines)) write(process.stdout, `${line}\n`);
}

/** Prints an answer in words or, with --json, as JSON. */
export function answer({ json }: { readonly json?: boolean }, value: unknown, ...words: readonly Lines[]): void {
  print(json ? JSON.stringify(value) : words);
}

/** What a terminal shows in two columns: emoji, Chinese characters, kana, hangul and their punctuation, except narrow forms. */
const WIDE =
  /\p{RGI_Emoji}|[[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Hangul}\u3000-\u303e\u30fc\uff01-\uffe6]--[\uff61-\uffdc]]/gv;

const columnsOf = (text: string): number => [...text.replaceAll(WIDE, '  ').replaceAll(/\p{M}/gu, '')].length;

/** Returns the lines of a table, aligned as a terminal shows them; `styleOf` returns the style of a row. */
export function tableLines(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  styleOf: (row: number) => Style | undefined = () => undefined,
): string[] {
  const shown = rows.map((row) => row.map((cell) => visible(cell).replaceAll('\n', '\\u000a')));
  const widths = heads.map((head, column) =>
    shown.reduce((most, row) => Math.max(most, columnsOf(row[column] ?? '')), columnsOf(head)),
  );
  const line = (cells: readonly string[], style?: Style): string => {
    const padded = cells.map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - columnsOf(cell)));
    const text = padded.join('  ');
    return style === undefined ? text.trimEnd() : paint(style, text.trimEnd());
  };
  return [line(heads, 'bold'), ...shown.map((row, index) => line(row, styleOf(index)))];
}

/** Shows a progress bar on standard error, if that is a terminal. */
export async function progress(label: string, total: number) {
  const { SingleBar } = (await import('cli-progress')).default;
  const bar = new SingleBar({
    format: `${visible(label)} {bar} {percentage}% | {value}/{total} | {rate}/s | {eta_formatted} left`,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
    stream: process.stderr,
    etaBuffer: 500,
  });
  const start = performance.now();
  // The cursor must come back even if the program ends meanwhile.
  const restore = (): void => bar.stop();
  const interrupted = (name: NodeJS.Signals): void => {
    if (process.listenerCount(name) > 0) return;
    restore();
    process.kill(process.pid, name);
  };
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted).once('exit', restore);
  bar.start(total, 0, { rate: 0 });
  let done = 0;
  const set = (value: number, total = bar.getTotal()): void => {
    done = value;
    bar.setTotal(total);
    bar.update(done, { rate: Math.round((done * 1000) / (performance.now() - start)) });
  };
  const end = (): void => {
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted).off('exit', restore);
    restore();
  };
  return { advance: () => set(done + 1), set, end };
}

/** Reads repeatedly until it is over, or until `signal` aborts, and shows the progress; resolves with the last reading. */
export async function follow<Reading>(
  label: string,
  read: () => Promise<Reading>,
  seen: (reading: Reading) => { readonly done: number; readonly total: number; readonly over: boolean },
  signal?: AbortSignal,
): Promise<Reading> {
  const bar = await progress(label, 0);
  try {
    for (;;) {
      const reading = await read();
      const { done, total, over } = seen(reading);
      bar.set(Math.min(Math.max(done, 0), total), total);
      if (over || signal?.aborted) return reading;
      await delay(200, undefined, { signal }).catch(() => {});
    }
  } finally {
    bar.end();
  }
}

/** Returns a signal that aborts at the first SIGINT or SIGTERM, whose name is the reason; a second one ends the program. */
export function interruption(): AbortSignal {
  const stop = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => (stop.signal.aborted ? process.exit(1) : stop.abort(name));
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return stop.signal;
}
