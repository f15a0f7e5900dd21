import { describe, expect, test } from 'vitest';
import { figure, latency, plural, rate, size, span, whichConnector } from '../../src/model/text.ts';

describe('numbers as people read them', () => {
  test.each([
    [0, '0 s'],
    [-5, '0 s'],
    [9, '9 s'],
    [59.9, '1 min'],
    [200, '3 min 20 s'],
    [3_609, '1 h'],
    [18_720, '5 h 12 min'],
    [187_200, '2 d 4 h'],
    [604_800, '7 d'],
  ])('%d seconds are %s', (seconds, text) => {
    expect(span(seconds)).toBe(text);
  });

  test.each([
    [0, '0 bytes'],
    [1_023, '1,023 bytes'],
    [1_024, '1 KiB'],
    [1_536, '1.5 KiB'],
    [300 * 1_024, '300 KiB'],
    [64 * 2 ** 20, '64 MiB'],
    [1.25 * 2 ** 30, '1.3 GiB'],
    [5_000 * 2 ** 40, '5,000 TiB'],
  ])('a size of %d bytes is %s', (bytes, text) => {
    expect(size(bytes)).toBe(text);
  });

  test('counts, rates and latencies', () => {
    expect([figure(1_234_567), figure(0.6)]).toEqual(['1,234,567', '1']);
    expect([plural(1, 'event'), plural(0, 'event'), plural(1_000, 'entry', 'entries')]).toEqual([
      '1 event',
      '0 events',
      '1,000 entries',
    ]);
    expect([0, 0.05, 0.3, 12.42, 1_240.4].map(rate)).toEqual(['0', '< 0.1', '0.3', '12.4', '1,240']);
    expect([0.421, 7.31, 120.4, 2_090].map(latency)).toEqual(['0.42 ms', '7.3 ms', '120 ms', '2.1 s']);
  });
});

test('which connector was meant is not asked where there is none', () => {
  expect(whichConnector('audit', [])).toBe('none is enabled');
});
