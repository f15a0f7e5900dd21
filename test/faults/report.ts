/** The report at the end of a run. */
import type { Finding, RoundCount, Verdict } from './oracle.ts';
import { type RoundReport, seconds } from './rounds.ts';
import { mean, percentile, pooled } from './window.ts';

export interface Round extends RoundReport {
  readonly fault: string;
  /** The mark of its callbacks in the ledger. */
  readonly round: number;
}

const INTEGER = new Intl.NumberFormat('en');

/** One line a fault, and how everything ended. */
export function closingTable(rounds: readonly Round[], main: Verdict): string {
  const rows = faultsOf(rounds).map((fault) =>
    row(
      fault,
      rounds.filter((round) => round.fault === fault),
      main,
    ),
  );
  const quiet = main.rounds.get(0);
  rows.push(['(before the first)', '', quiet?.ok ?? 0, quiet?.lost ?? 0, quiet?.duplicates ?? 0, '', '']);
  const sum = (column: number): number => rows.reduce((total, cells) => total + Number(cells[column] || 0), 0);
  rows.push(['all', sum(1), sum(2), sum(3), sum(4), '', '']);
  const titles = ['fault', 'rounds', 'answered OK', 'lost', 'duplicated in Kafka', 'recovery p50', 'recovery max'];
  return table(titles, rows);
}

const faultsOf = (rounds: readonly Round[]): string[] => [...new Set(rounds.map(({ fault }) => fault))].sort();

const NONE: RoundCount = { ok: 0, lost: 0, duplicates: 0 };

function row(fault: string, rounds: readonly Round[], main: Verdict): (string | number)[] {
  // A round with a list of its own has the callbacks of the other bridge beside it, too.
  const counts = rounds.flatMap(({ round, verdict }) => [
    main.rounds.get(round) ?? NONE,
    ...(verdict?.rounds.values() ?? []),
  ]);
  const total = (name: 'ok' | 'lost' | 'duplicates'): number => counts.reduce((sum, count) => sum + count[name], 0);
  const recoveries = rounds.flatMap(({ recoveryMs }) => recoveryMs ?? []);
  const shown = (ms: number): string => (recoveries.length === 0 ? '–' : seconds(ms));
  return [
    fault,
    rounds.length,
    total('ok'),
    total('lost'),
    total('duplicates'),
    shown(percentile(recoveries, 0.5)),
    shown(Math.max(...recoveries)),
  ];
}

/** The receiver and Kafka's lag while Elasticsearch is away, against as long a time before it; undefined without such rounds. */
export function windowTable(rounds: readonly Round[]): string | undefined {
  const rows = faultsOf(rounds).flatMap((fault) => {
    const windows = rounds.flatMap((round) => (round.fault === fault ? (round.windows ?? []) : []));
    if (windows.length === 0) return [];
    const before = pooled(windows.map((window) => window.before));
    const during = pooled(windows.map((window) => window.during));
    const lines: [string, number, number, number, number, string][] = [
      [
        'p99 of answers',
        percentile(before.answers, 0.99),
        percentile(during.answers, 0.99),
        before.answers.length,
        during.answers.length,
        'ms',
      ],
      [
        'mean time to Kafka',
        averageMs(before.endToEnd),
        averageMs(during.endToEnd),
        before.endToEnd.count,
        during.endToEnd.count,
        'ms',
      ],
      ['mean lag of Kafka', mean(before.lags), mean(during.lags), before.lags.length, during.lags.length, 'events'],
    ];
    return lines.map(([what, was, is, samplesBefore, samplesDuring, unit]) => [
      fault,
      what,
      `${was.toFixed(2)} ${unit}`,
      `${is.toFixed(2)} ${unit}`,
      (is / was).toFixed(2),
      `${INTEGER.format(samplesBefore)} / ${INTEGER.format(samplesDuring)}`,
    ]);
  });
  return rows.length === 0 ? undefined : table(['fault', 'measured', 'before', 'during', 'ratio', 'samples'], rows);
}

function averageMs({ sum, count }: { sum: number; count: number }): number {
  return (sum * 1_000) / count;
}

const NAMED = 50;

/** Each finding by name, the first ones at least. */
export function namedFindings(findings: readonly Finding[], rounds: readonly Round[]): string[] {
  const faultOf = new Map(rounds.map(({ round, fault }) => [round, fault]));
  const lines = findings.slice(0, NAMED).map(({ kind, groupId, number, eventTime, round, detail }) => {
    const during = faultOf.get(round) ?? 'no fault';
    return `${kind}: ${groupId} number ${number}, EventTime ${eventTime}, sent in round ${round} (${during}): ${detail}`;
  });
  if (findings.length > NAMED) lines.push(`… and ${findings.length - NAMED} more`);
  return lines;
}

function table(titles: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = rows.map((cellsOf) => cellsOf.map((cell) => (typeof cell === 'number' ? INTEGER.format(cell) : cell)));
  const widths = titles.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string => {
    const padded = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    return `| ${padded.join(' | ')} |`;
  };
  const rule = `|${widths.map((width, column) => (column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [line(titles), rule, ...cells.map(line)].join('\n');
}
