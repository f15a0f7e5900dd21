import { describe, expect, test } from 'vitest';
import { judge, type Standing, type Trouble } from '../../src/model/verdict.ts';

const NOW = 1_800_000_000_000;
const MINUTE = 60_000;
const RECORDING = { tone: 'green', says: 'Callbacks are recorded' } as const;
const fault = { code: 'destination-unreachable', message: 'down' } as const;
const WELL: Standing = {
  name: 'index',
  state: { kind: 'running' },
  lag: 0,
  lagSeconds: 0,
  deadLetters: 0,
  copy: { verifiedAt: NOW - 4 * MINUTE, differing: 0 },
  verifyEvery: 60 * MINUTE,
};
const waiting = (ms: number) => ({ kind: 'waiting', fault, since: NOW - ms, retryAt: NOW }) as const;

test('all is well: two sentences, and when the copies were compared', () => {
  const { copies, recording } = judge(RECORDING, [WELL, { ...WELL, name: 'topic' }], NOW);
  expect(recording).toEqual(RECORDING);
  expect(copies).toEqual({ tone: 'green', says: 'All 2 copies are in step, verified 4 min ago', troubles: [] });
});

const CASES: readonly [what: string, change: Partial<Standing>, kind: Trouble['kind'], tone: string, says: string][] = [
  ['behind', { lag: 156, lagSeconds: 12 }, 'behind', 'amber', 'is 156 events behind for 12 s'],
  ['an unknown lag', { lag: null }, 'behind', 'amber', 'is behind by an unknown number of events'],
  ['down for 30 s', { state: waiting(30_000) }, 'unreachable', 'amber', 'is unreachable for 30 s'],
  [
    'down for 2 min',
    { state: waiting(2 * MINUTE), lag: 1, lagSeconds: 120 },
    'unreachable',
    'red',
    'is 1 event behind for 2 min: unreachable for 2 min',
  ],
  ['paused', { state: { kind: 'paused' } }, 'paused', 'amber', 'is paused'],
  ['connecting', { state: { kind: 'connecting' } }, 'connecting', 'amber', 'is connecting'],
  ['dead letters', { deadLetters: 765 }, 'dead-letters', 'red', 'has 765 dead letters'],
  [
    'incomplete',
    { copy: { verifiedAt: NOW, differing: 0, incomplete: { reason: 'it is gone' } } },
    'incomplete',
    'red',
    'is incomplete: it is gone',
  ],
  ['differing', { copy: { verifiedAt: NOW, differing: 3 } }, 'differs', 'amber', 'differs in 3 that were not mended'],
  ['never verified', { copy: { differing: 0 } }, 'unverified', 'amber', 'is not verified yet'],
  [
    'verified long ago',
    { copy: { verifiedAt: NOW - 25 * 60 * MINUTE, differing: 0 } },
    'unverified',
    'amber',
    'was last verified 1 d 1 h ago',
  ],
];

describe.each(CASES)('a connector with %s', (_, change, kind, tone, says) => {
  test(`is ${kind}`, () => {
    const { copies } = judge(
      RECORDING,
      [
        { ...WELL, ...change },
        { ...WELL, name: 'topic' },
      ],
      NOW,
    );
    expect(copies.tone).toBe(tone);
    expect(copies.troubles).toEqual([{ connector: 'index', kind, tone, says }]);
    expect(copies.says).toMatch(/^1 of 2 copies in step, (?:1 of the 2 )?verified .* ago; index /);
    expect(copies.says).toContain(says);
  });
});

test('what is delivered within two seconds was never behind, and what is not compared need not be verified', () => {
  const { verifyEvery: _, ...unverified } = { ...WELL, copy: { differing: 0 }, lag: 1, lagSeconds: 1.9 };
  expect(judge(RECORDING, [unverified], NOW).copies).toEqual({
    tone: 'green',
    says: 'The copy is in step, not compared',
    troubles: [],
  });
  expect(judge(RECORDING, [WELL, unverified], NOW).copies.says).toBe(
    'All 2 copies are in step, 1 of the 2 verified 4 min ago',
  );
  expect(judge(RECORDING, [unverified, unverified], NOW).copies.says).toBe(
    'All 2 copies are in step, none of them compared',
  );
});

test('only what was verified is called so, however many are compared', () => {
  const { copies } = judge(RECORDING, [WELL, { ...WELL, name: 'new', copy: { differing: 0 } }], NOW);
  expect(copies.says).toBe('1 of 2 copies in step, 1 of the 2 verified 4 min ago; new is not verified yet');
});

test('where no connector is enabled nothing is in step, and that is not green', () => {
  const { copies } = judge(RECORDING, [], NOW);
  expect(copies).toEqual({ tone: 'amber', says: 'There are no copies: no connector is enabled', troubles: [] });
});
