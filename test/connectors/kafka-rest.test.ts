/** What a connection to a real Kafka costs while nothing goes over it. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, inject, onTestFinished, test, vi } from 'vitest';
import { kafka } from '../../connectors/kafka/connector.ts';
import { entryOf } from '../../src/model/entry.ts';
import { makeEvent, never, testHost } from './suite.ts';

const brokers = inject('kafkaBrokers');

test.skipIf(brokers === '')('a connection that rests sets no timer', async () => {
  const topic = `test.${randomUUID()}`;
  const sink = await kafka.open(kafka.options.parse({ brokers, topic, createTopic: {} }), testHost(), never());
  onTestFinished(() => sink.close());
  if (sink.holds !== 'events') throw new TypeError('a sink of events is expected');
  const entry = entryOf(1, makeEvent({}));
  expect((await sink.deliver([entry], never())).get(entry.id)?.kind).toBe('delivered');
  const timers = vi.spyOn(globalThis, 'setTimeout');
  onTestFinished(() => timers.mockRestore());
  await delay(1_000);
  // kafkajs would set a thousand.
  expect(timers.mock.calls.length).toBeLessThan(10);
});
