import { TONES, type Verdict } from '../model/verdict.ts';
import { BY_CONNECTOR, counter, type Metrics, read, readEach } from './meter.ts';

/** The only copy metric of a worker, which does not know what a copy should hold. */
export const lossMetrics: Metrics = {
  bridge_copy_incomplete: readEach(
    '1 from when the destination was deleted or replaced until it is restored.',
    ({ copy }) => Number(copy?.incomplete !== undefined),
  ),
};

export const copyMetrics: Metrics = {
  bridge_copy_verified_timestamp_seconds: readEach(
    'When the latest comparison with the whole copy ended, in seconds since 1970; 0 before the first.',
    ({ copy }) => (copy?.verifiedAt ?? 0) / 1000,
  ),
  bridge_copy_differing_groups: readEach(
    'Groups (with content: events, events) that the latest comparison found missing or different and that are not mended.',
    ({ copy }) => copy?.differing,
  ),
  ...lossMetrics,
  bridge_copy_mended_total: counter(
    'Groups, or events, that were written again because they were missing or different.',
    { 'copy.mended': (counter, { connector, count }) => counter.inc({ connector }, count) },
    BY_CONNECTOR,
  ),
};

export function verdictMetrics({ status }: { status(): { readonly verdict: Verdict } }): Metrics {
  return {
    bridge_verdict_recording: read('Whether callbacks are recorded: 0 green, 2 red.', () =>
      TONES.indexOf(status().verdict.recording.tone),
    ),
    bridge_verdict_copies: read('Whether the copies are in step: 0 green, 1 amber, 2 red.', () =>
      TONES.indexOf(status().verdict.copies.tone),
    ),
  };
}
