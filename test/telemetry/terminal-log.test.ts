/** What a person reads on the terminal of a bridge: a line a callback, and no more lines than can be read. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import pino from 'pino';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createSignals, type Signals } from '../../src/model/signal.ts';
import type { EventCopy } from '../../src/model/standing.ts';
import { logSignals } from '../../src/telemetry/log.ts';
import { logCallbacks, sentenceOf } from '../../src/telemetry/terminal-log.ts';
import { madeEvent } from '../support/events.ts';

type Answered = Signals['callback.answered'];
const EVENT = madeEvent(1, { name: 'a', customFields: { level: '7' } });
const RECORDED: Answered = { command: 'c', outcome: 'recorded', status: 200, ms: 3.14, event: EVENT };

/** Logs as a bridge on a terminal does; each look at the copies finds what stands next in `looks`, at last the last one. */
function listen(looks: readonly (readonly (readonly [connector: string, standing: EventCopy['standing']])[])[] = [[]]) {
  const lines: { level: number; msg: string }[] = [];
  const signals = createSignals();
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
  logSignals(signals, log, new Set(['callback.answered']));
  const left = [...looks];
  const stopping = new AbortController();
  onTestFinished(() => stopping.abort());
  const copies = () => {
    const found = (left.length > 1 ? left.shift() : left[0]) ?? [];
    return found.map(([connector, standing]) => ({ connector, kind: 'k', standing, at: EVENT.data.receivedAt + 12 }));
  };
  logCallbacks(signals, log, () => ({ seq: 7, copies }), stopping.signal);
  const said = () => lines.map(({ level, msg }) => `${level} ${msg}`);
  return { signals, said, answer: (answered: Answered) => signals.emit('callback.answered', answered) };
}

test('a recorded callback: seq, group, fields, and where its event went once that is known', async () => {
  const { said, answer } = listen([
    [['index', 'behind']],
    [
      ['topic', 'delivered'],
      ['index', 'superseded'],
      ['private', 'filtered'],
    ],
  ]);
  answer(RECORDED);
  const where = 'topic 12 ms, index 12 ms (superseded)';
  const line = `30 200 recorded seq 7 @TGS#TEST name, customFields.level 3.1 ms → ${where}`;
  await expect.poll(said).toEqual([line]);
});

test('a refusal says why, and an unknown field that looks like a known one is a warning', async () => {
  const { said, answer } = listen();
  answer({ ...RECORDED, misnamed: ['GroupName (did you mean "Name"?)'] });
  const fault = { code: 'sign-wrong', message: 'Sign is wrong', path: 'Sign' } as const;
  answer({ command: 'Group.X', outcome: 'refused', status: 401, ms: 0.5, fault });
  await expect.poll(said).toHaveLength(2);
  expect(said()).toEqual([
    '40 401 refused Group.X 0.50 ms; Sign is wrong (Sign)',
    '40 200 recorded seq 7 @TGS#TEST name, customFields.level 3.1 ms → nowhere: every filter excludes it; unknown fields: GroupName (did you mean "Name"?)',
  ]);
});

test('of more than twenty in a second the number is said', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const { said, answer } = listen();
  for (let n = 0; n < 500; n++) answer({ command: 'c', outcome: 'acknowledged', status: 200, ms: 1 });
  await nextTurn();
  expect(said()).toHaveLength(20);
  vi.advanceTimersByTime(1_000);
  expect(said().at(-1)).toBe('30 480 more callbacks in this second');
  answer({ command: 'c', outcome: 'acknowledged', status: 200, ms: 1 });
  await nextTurn();
  expect(said().at(-1)).toBe('30 200 acknowledged c 1.0 ms');
});

test('a line of JSON as a sentence, of which a terminal obeys nothing', () => {
  const json = JSON.stringify({ level: 40, time: Date.UTC(2026, 0, 2, 3, 4, 5), msg: 'a\u001b[2J\nb', code: 'x' });
  vi.stubEnv('NO_COLOR', '1');
  onTestFinished(() => void vi.unstubAllEnvs());
  expect(sentenceOf(json)).toBe('03:04:05Z a\\u001b[2J\\u000ab\n');
});
