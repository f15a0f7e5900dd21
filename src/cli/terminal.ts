import { styleText } from 'node:util';
import { SingleBar } from 'cli-progress';

type Style = Parameters<typeof styleText>[0];

/** Colours only on a terminal that wants them. */
export function paint(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout });
}

export function print(line = ''): void {
  process.stdout.write(`${line}\n`);
}

export interface Progress {
  advance(): void;
  end(): void;
}

/** A bar on standard error with rate and time left; nothing when that is not a terminal. */
export function progress(label: string, total: number): Progress {
  if (!process.stderr.isTTY) return { advance() {}, end() {} };
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
  return {
    advance() {
      done++;
      bar.update(done, { rate: Math.round((done * 1000) / (performance.now() - start)) });
    },
    end: () => bar.stop(),
  };
}

/** How to call this program from here: a checkout runs its sources through npm, so that Node 24 is on the path. */
export function commandLine(args: string): string {
  return import.meta.url.endsWith('.ts') ? `npm run bridge -- ${args}` : `npx group-sync-bridge ${args}`;
}
