import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { GroupSink } from '../../connectors/contract.ts';
import { compileFilter } from '../../src/delivery/filter.ts';
import { type ComparisonPorts, startComparison } from '../../src/delivery/verify.ts';
import type { Fault } from '../../src/model/fault.ts';
import { newGroup } from '../../src/model/group.ts';
import { createSignals } from '../../src/model/signal.ts';
import { logSignals } from '../../src/telemetry/log.ts';

const FAULT: Fault = { code: 'event-refused', message: 'name is an integer there', suggestion: 'correct the mapping' };

test('a copy that cannot be mended is told with the reason', async () => {
  const states = ['a', 'b'].map(newGroup);
  const sink: GroupSink = {
    holds: 'groups',
    put: async () =>
      new Map([
        ['a', { kind: 'delivered', receipt: 'a' }],
        ['b', { kind: 'dead', fault: FAULT }],
      ]),
    read: async () => new Map(states.map(({ groupId }) => [groupId, { status: 'differs', where: groupId }])),
    identify: async () => ({ identity: 'one' }),
    close: async () => {},
  };
  const ports = {
    groups: { page: () => states, get: () => undefined, count: () => states.length, latest: () => 0 },
    filter: compileFilter({}),
    cursor: () => 0,
    isWaiting: () => false,
  } as unknown as ComparisonPorts;
  const signal = new AbortController().signal;
  const { why, ...found } = await startComparison(sink, ports, { page: 10, mend: true }, signal).step(signal);
  expect({ why, found }).toMatchObject({ why: FAULT, found: { looked: 2, found: 2, mended: 1, left: 1 } });

  const lines: { msg: string }[] = [];
  const signals = createSignals();
  logSignals(signals, pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) }));
  signals.emit('copy.verified', { connector: 'index', ...found, why, ms: 1 });
  expect(lines[0]?.msg).toMatch(
    /^index: 2 of 2 .* 1 were mended; why not all: name is an integer there .*correct the mapping/,
  );
});
