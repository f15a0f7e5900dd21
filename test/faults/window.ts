/** Measures whether one destination's outage shows elsewhere: at the receiver and in Kafka, in windows of equal length. */
import { setTimeout as delay } from 'node:timers/promises';
import { KAFKA } from './servers.ts';
import type { Testbed } from './testbed.ts';

export interface Window {
  /** Milliseconds from the moment a callback was due to its OK. */
  readonly answers: readonly number[];
  /** Events recorded and not yet in Kafka, sampled. */
  readonly lags: readonly number[];
  /** From receipt to delivery in Kafka: the sum of seconds and the number of events. */
  readonly endToEnd: { readonly sum: number; readonly count: number };
}

export interface Windows {
  readonly before: Window;
  readonly during: Window;
}

const SAMPLE_MS = 250;

export async function measureWindow({ bridge, load }: Testbed, ms: number): Promise<Window> {
  const first = await bridge.metrics();
  const lags: number[] = [];
  const measured = load.measure();
  const end = performance.now() + ms;
  while (performance.now() < end) {
    await delay(Math.min(SAMPLE_MS, end - performance.now()));
    const { head, cursors } = await bridge.metrics();
    lags.push(head - (cursors.get(KAFKA) ?? 0));
  }
  const answers = measured();
  const last = await bridge.metrics();
  const [from, to] = [first.endToEnd.get(KAFKA), last.endToEnd.get(KAFKA)];
  return {
    answers,
    lags,
    endToEnd: {
      sum: (to?.sum ?? 0) - (from?.sum ?? 0),
      count: (to?.count ?? 0) - (from?.count ?? 0),
    },
  };
}

/** Several windows as one. */
export function pooled(windows: readonly Window[]): Window {
  return {
    answers: windows.flatMap(({ answers }) => answers),
    lags: windows.flatMap(({ lags }) => lags),
    endToEnd: {
      sum: windows.reduce((sum, { endToEnd }) => sum + endToEnd.sum, 0),
      count: windows.reduce((sum, { endToEnd }) => sum + endToEnd.count, 0),
    },
  };
}

/** Nearest rank. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
