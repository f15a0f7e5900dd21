import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/model/clock.ts';
import { within } from '../../src/model/wait.ts';

test('a wait for longer than a timer of the system takes is not over at once, and warns of nothing', async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => warnings.push(warning);
  process.on('warning', onWarning);
  onTestFinished(() => void process.off('warning', onWarning));
  const month = 30 * 86_400_000;
  expect(await within(month, delay(50))).toBe(true);
  const waking = new AbortController();
  expect(await within(50, systemClock.sleep(month, waking.signal))).toBe(false);
  waking.abort();
  expect(warnings).toEqual([]);
});
