/** The badge of a connector says no more than the verdict does. */
import { expect, test } from 'vitest';
import { badges } from '../../src/admin/console/connectors.ts';
import { textsFor } from '../../src/admin/console/texts/index.ts';
import type { ConnectorState } from '../../src/admin/contract.ts';
import { judge } from '../../src/model/verdict.ts';

const NOW = 1_700_000_000_000;
const verified = { differing: 0, verifiedAt: NOW - 1_000 };

test.each([
  ['In step', {}],
  ['In step', { verifyEvery: undefined, copy: undefined }],
  ['Not verified', { copy: { differing: 0 } }],
  ['Not verified', { copy: { differing: 0, verifiedAt: NOW - 2 * 86_400_000 } }],
  ['Differs', { copy: { ...verified, differing: 2 } }],
  ['Dead letters', { deadLetters: 1 }],
  ['Behind', { lag: 5, lagSeconds: 60 }],
  ['Paused', { state: { kind: 'paused' } }],
  [
    'Paused, Incomplete',
    { state: { kind: 'paused' }, copy: { ...verified, incomplete: { reason: 'it was deleted' } } },
  ],
] as const)('%s: %j', (says, given) => {
  const state = { name: 'copy', kind: 'file', state: { kind: 'running' }, lag: 0, lagSeconds: 0, deadLetters: 0 };
  const connector = { ...state, verifyEvery: 60_000, copy: verified, ...given } as unknown as ConnectorState;
  const { troubles } = judge({ tone: 'green', says: '' }, [connector], NOW).copies;
  const shown = [badges(textsFor('en'), 'copy', troubles)].flat().join('');
  expect([...shown.matchAll(/<span>(.*?)<\/span>/g)].map(([, words]) => words).join(', ')).toBe(says);
  expect(troubles.length === 0).toBe(says === 'In step');
});
