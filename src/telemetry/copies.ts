import type { CopyState } from '../model/copy.ts';
import { TONES, type Verdict } from '../model/verdict.ts';
import { BY_CONNECTOR, counter, type Metrics, read, readEach } from './meter.ts';

export interface CopySources {
  /** What is known of the copy as a whole; a worker knows only that it is incomplete. */
  copy?(connector: string): CopyState | undefined;
}

/** Measures what the copies hold, compared with what they should hold. */
export function copyMetrics(sources: CopySources): Metrics {
  const { copy } = sources;
  return {
    bridge_copy_verified_timestamp_seconds: readEach(
      'When the latest comparison with the whole copy ended, in seconds since 1970; 0 before the first.',
      (connector) => (copy?.(connector)?.verifiedAt ?? 0) / 1000,
    ),
    bridge_copy_differing_groups: readEach(
      'Groups, of content: events events, that the latest comparison found missing or different and that are not mended.',
      (connector) => copy?.(connector)?.differing,
    ),
    ...lossMetrics(sources),
    bridge_copy_mended_total: counter(
      'Groups, or events, that were brought again because they were missing or different.',
      { 'copy.mended': (counter, { connector, count }) => counter.inc({ connector }, count) },
      BY_CONNECTOR,
    ),
  };
}

export function lossMetrics({ copy }: CopySources): Metrics {
  return {
    bridge_copy_incomplete: readEach(
      '1 since the destination was deleted or replaced, until all that is known was brought again.',
      (connector) => Number(copy?.(connector)?.incomplete !== undefined),
    ),
  };
}

export function verdictMetrics(sources: { verdict(): Verdict }): Metrics {
  let latest: Verdict | undefined;
  /** One look is for all that is read in a scrape, which is in one turn: it costs some queries. */
  const verdict = (): Verdict => {
    if (latest === undefined) queueMicrotask(() => (latest = undefined));
    latest ??= sources.verdict();
    return latest;
  };
  return {
    bridge_verdict_recording: read('Whether callbacks are recorded: 0 green, 2 red.', () =>
      TONES.indexOf(verdict().recording.tone),
    ),
    bridge_verdict_copies: read('Whether the copies are in step: 0 green, 1 amber, 2 red.', () =>
      TONES.indexOf(verdict().copies.tone),
    ),
  };
}
