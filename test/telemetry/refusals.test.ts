import { expect, test } from 'vitest';
import type { Fault, FaultCode } from '../../src/model/fault.ts';
import { createSignals } from '../../src/model/signal.ts';
import { watchRefusals } from '../../src/telemetry/refusals.ts';

test('refusals by reason, the most frequent first, with the latest sender; forgotten after an hour without one', () => {
  let now = 0;
  const signals = createSignals();
  const refusals = watchRefusals(signals, { now: () => now });
  const refuse = (code: FaultCode, sender: string, message: string = code): void => {
    const fault: Fault = { code, message };
    signals.emit('callback.answered', { command: 'other', outcome: 'refused', status: 400, ms: 1, fault, sender });
  };
  signals.emit('callback.answered', { command: 'other', outcome: 'recorded', status: 200, ms: 1 });
  signals.emit('request.strayed', { peer: '::1', what: 'GET /', why: 'nothing is here', code: 'path-unknown' });
  refuse('sign-wrong', '192.0.2.1', 'Sign is wrong');
  now = 60_000;
  refuse('sign-wrong', '192.0.2.2', 'Sign is wrong');
  const wrong = { count: 2, fault: { code: 'sign-wrong', message: 'Sign is wrong' }, sender: '192.0.2.2', at: 60_000 };
  const strayed = { count: 1, fault: { code: 'path-unknown', message: 'nothing is here' }, sender: '::1', at: 0 };
  expect(refusals()).toEqual([wrong, strayed]);
  now = 3_600_001;
  expect(refusals()).toEqual([wrong]);
  now = 3_660_001;
  expect(refusals()).toEqual([]);
  refuse('sign-wrong', '192.0.2.3');
  expect(refusals()).toMatchObject([{ count: 1, sender: '192.0.2.3' }]);
});
