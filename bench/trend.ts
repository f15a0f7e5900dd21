/** One sample of something that goes up and down: `at` in ms, on any clock. */
export interface Sample {
  readonly at: number;
  readonly value: number;
}

/**
 * By how much it grows a second: the slope of the least-squares line. A lag is a saw whose teeth are the batches; means of two
 * stretches of it differ by what of a tooth each happens to hold, the line hardly minds.
 */
export function trendPerSecond(samples: readonly Sample[]): number {
  const mean = (of: (sample: Sample) => number): number =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const middle = { at: mean(({ at }) => at), value: mean(({ value }) => value) };
  let together = 0;
  let spread = 0;
  for (const { at, value } of samples) {
    together += (at - middle.at) * (value - middle.value);
    spread += (at - middle.at) ** 2;
  }
  return spread === 0 ? 0 : (together / spread) * 1_000;
}
