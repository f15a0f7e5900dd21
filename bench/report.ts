import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Figures, ratioToBare, table } from './figures.ts';
import { targets } from './targets.ts';

export interface Report {
  /** The beginning of the file's name. */
  readonly name: string;
  readonly startedAt: Date;
  readonly options: Readonly<Record<string, unknown>>;
  readonly figures: Figures;
  /** JSON on stdout instead of the table. */
  readonly json: boolean;
  print(line: string): void;
}

/** Prints the table, or JSON, to stdout and writes the JSON to bench/results/. */
export function report({ name, startedAt, options, figures, json, print }: Report): void {
  const met = targets(figures);
  const machine = {
    cpus: cpus().length,
    model: cpus()[0]?.model ?? '',
    memoryGb: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    /** The load average of one minute at the end, which shows whether the run had the machine for itself. */
    load: loadavg()[0],
  };
  const result = {
    startedAt: startedAt.toISOString(),
    seconds: Math.round((Date.now() - startedAt.getTime()) / 1_000),
    machine,
    options,
    figures: figures.all.map((figure) => ({ ...figure, ratioToBare: ratioToBare(figures, figure) })),
    targets: met,
  };
  const text = `${JSON.stringify(result, null, 2)}\n`;
  const folder = new URL('results/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  const file = new URL(`${name}-${result.startedAt.replaceAll(':', '-')}.json`, folder);
  writeFileSync(file, text);
  if (json) process.stdout.write(text);
  else {
    const { cpus, model, memoryGb, node } = machine;
    process.stdout.write(
      `\n${cpus} × ${model}, ${memoryGb} GB, Node ${node}, ${result.seconds} s\n\n${table(figures)}\n\n`,
    );
    for (const { wanted, reached, met: is } of met)
      process.stdout.write(`${is ? 'reached' : 'NOT reached'}: ${wanted}: ${reached}\n`);
  }
  print(`\nwritten to ${fileURLToPath(file)}`);
}
