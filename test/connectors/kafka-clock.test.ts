/** A machine whose clock is wrong, before a real Kafka that looks at the times of records. */
import { randomUUID } from 'node:crypto';
import { expect, inject, onTestFinished, test } from 'vitest';
import { followTopic } from '../servers/readback.ts';
import { bridgeHome, startBridgeProcess, withClock } from '../support/bridge.process.ts';
import { body, search } from '../support/callbacks.ts';

const brokers = inject('kafkaBrokers');

test.skipIf(brokers === '')(
  'two hours fast: the lane waits and says so, no event is charged, and all arrive once it is right',
  async () => {
    const topic = `test.${randomUUID()}`;
    const home = bridgeHome(() => ({
      events: { kind: 'kafka', brokers, topic, createTopic: { partitions: 1 }, retry: { initialMs: 100, maxMs: 500 } },
    }));
    onTestFinished(home.remove);
    const bridge = await startBridgeProcess(home, withClock(2 * 3_600_000));
    for (const Name of ['a', 'b', 'c'])
      await bridge.post({ search: search(), body: body({ Name, EventTime: Date.now() }) });
    const connector = async () => {
      const status = (await (await fetch(`${bridge.adminUrl}/api/status`)).json()) as { connectors: object[] };
      return status.connectors[0];
    };
    await expect.poll(connector).toMatchObject({
      state: {
        kind: 'waiting',
        fault: {
          code: 'destination-misconfigured',
          path: 'connectors.events.topic',
          message: expect.stringContaining('INVALID_TIMESTAMP'),
          suggestion: expect.stringMatching(/clock.*message.timestamp/),
        },
      },
      lag: 3,
      deadLetters: 0,
    });
    expect(await bridge.end('SIGTERM')).toBe(0);

    const again = await startBridgeProcess(home);
    const reader = await followTopic(brokers, topic);
    await reader.until((records) => records.length >= 3, 'all three');
    await reader.close();
    expect(await again.end('SIGTERM')).toBe(0);
  },
);
