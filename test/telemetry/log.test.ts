/** What anyone may bring about from outside does not fill the log, and what is said is true. */
import pino from 'pino';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createSignals } from '../../src/model/signal.ts';
import { logSignals } from '../../src/telemetry/log.ts';

test('of what callers bring about, a line a kind in ten seconds says how many there were', () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const lines: Record<string, unknown>[] = [];
  const signals = createSignals();
  logSignals(signals, pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) }));
  const refuse = (code: 'sign-wrong' | 'not-json') =>
    signals.emit('callback.answered', { command: 'other', outcome: 'refused', ms: 1, fault: { code, message: code } });

  for (let i = 0; i < 3; i++) refuse('sign-wrong');
  refuse('not-json');
  signals.emit('admin.token-wrong', { peer: '192.0.2.1' });
  expect(lines).toMatchObject([
    { level: 40, code: 'sign-wrong', since: 1 },
    { level: 40, code: 'not-json', since: 1 },
    { level: 40, peer: '192.0.2.1', since: 1 },
  ]);
  vi.advanceTimersByTime(10_000);
  refuse('sign-wrong');
  refuse('sign-wrong');
  expect(lines.slice(3)).toMatchObject([{ code: 'sign-wrong', since: 3, msg: 'refused a callback: sign-wrong' }]);
});

test('a resync says what it did: brought, mended, or only compared; all groups, or those that were named', () => {
  const lines: Record<string, unknown>[] = [];
  const signals = createSignals();
  logSignals(signals, pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) }));
  const counts = { connector: 'index', done: 5, total: 5, mended: 2, failed: 0 };
  signals.emit('lane.resync', { ...counts, how: 'join', named: false, ended: false });
  expect(lines).toEqual([]);
  signals.emit('lane.resync', { ...counts, how: 'join', named: false, ended: true });
  signals.emit('lane.resync', { ...counts, how: 'repair', named: false, ended: true, failed: 1 });
  signals.emit('lane.resync', { ...counts, how: 'compare', named: false, ended: true });
  signals.emit('lane.resync', { ...counts, how: 'repair', named: true, done: 1, ended: true });
  expect(lines.map(({ msg }) => msg)).toEqual([
    'index: brought all 5 groups of the journal to it',
    'index: compared with all 5 groups of the journal: 2 not in step and mended, 1 not taken',
    'index: compared with all 5 groups of the journal, nothing was written: 2 not in step',
    'index: compared with 1 named group: 2 not in step and mended',
  ]);
});
