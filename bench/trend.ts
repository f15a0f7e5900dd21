/** One sample of something that goes up and down: `at` in ms, on any clock. */
export interface Sample {
  readonly at: number;
  readonly value: number;
}

export interface Trend {
  readonly mean: number;
  /** By how much it grows a second. */
  readonly perSecond: number;
}

/**
 * The least-squares line through them. A lag is a saw whose teeth are the batches; means of two
 * stretches of it differ by what of a tooth each happens to hold, the line hardly minds.
 */
export function trendOf(samples: readonly Sample[]): Trend {
  const mean = (of: (sample: Sample) => number): number =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const middle = { at: mean(({ at }) => at), value: mean(({ value }) => value) };
  let together = 0;
  let spread = 0;
  for (const { at, value } of samples) {
    together += (at - middle.at) * (value - middle.value);
    spread += (at - middle.at) ** 2;
  }
  return { mean: middle.value, perSecond: spread === 0 ? 0 : (together / spread) * 1_000 };
}
