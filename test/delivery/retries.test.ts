import { expect, test } from 'vitest';
import { watchRetries } from '../../src/delivery/retries.ts';

test('what a replay brings anew is not awaited as a retry any more', () => {
  const retries = watchRetries();
  const report = { connector: 'a', upTo: 9, waiting: [], dead: [], released: [] };
  retries.begin('a', [1, 5]);
  retries.settled({ ...report, released: [1] });
  retries.settled({ ...report, upTo: 3, rewind: true });
  expect(retries.of('a')).toEqual({ taken: 1, delivered: 1, refused: 0 });
  retries.begin('a', [7]);
  retries.settled({ ...report, dead: [{ seq: 7, attempts: 1, fault: { code: 'event-refused', message: '' } }] });
  expect(retries.of('a')).toEqual({ taken: 1, delivered: 0, refused: 1 });
});
