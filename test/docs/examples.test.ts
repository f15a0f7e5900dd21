/** The examples end with the groups that the bridge itself merges. */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { Kafka, logLevel } from 'kafkajs';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { kafka } from '../../connectors/kafka/connector.ts';
import type { CanonicalEvent } from '../../src/model/event.ts';
import type { Group } from '../../src/model/group.ts';
import { never, openDriven, testHost } from '../connectors/suite.ts';
import { madeEvent } from '../support/events.ts';
import { delivered, mergedGroups } from '../support/histories.ts';
import { goExample, javaExample, pythonExample, typescriptExample } from './example-programs.ts';

const brokers = inject('kafkaBrokers');
const topic = `test.${randomUUID()}`;
/** Shown when a copy differs, so that the same histories can be had again. */
const seed = fc.readConfigureGlobal()?.seed ?? Date.now();
let expected: Map<string, Group>;

/** Returns histories of some hundred groups, each group with a name of its own. */
function histories(): { events: CanonicalEvent[]; shuffled: CanonicalEvent[] } {
  const named = (n: number) => (event: CanonicalEvent) => {
    const groupId = `${event.subject}${n}`;
    return { ...event, subject: groupId, data: { ...event.data, groupId } };
  };
  const all = fc.sample(delivered, { seed, numRuns: 50 }).map((pair, n) => pair.map((events) => events.map(named(n))));
  return { events: all.flatMap(([events = []]) => events), shuffled: all.flatMap(([, shuffled = []]) => shuffled) };
}

/** A group of another app with an id that one of the first app has. */
const ofAnotherApp = { ...madeEvent(3, { name: 'theirs' }), source: 'urn:tencent-chat:app:1400000002' };

/** Returns events that a later bridge may write: a new field is ignored, an event of another type or version skipped. */
function laterEvents(): { taken: CanonicalEvent; passedOver: CanonicalEvent[] } {
  const event = madeEvent(1, { name: 'as it is' });
  const { data } = madeEvent(2, { name: 'misread' });
  const withField = { ...event, severity: 'low', data: { ...event.data, muted: true } };
  const urn = 'urn:group-sync-bridge:event';
  return {
    taken: withField,
    passedOver: [
      { ...event, data, type: 'chat.group.member.joined', dataschema: `${urn}:group-member-joined:1` },
      { ...event, data, dataschema: `${urn}:group-info-changed:2` },
    ] as unknown as CanonicalEvent[],
  };
}

/** Writes the events in both formats, which happens when the bridge's configuration was changed. */
async function deliver(events: readonly CanonicalEvent[]): Promise<void> {
  for (const format of ['structured', 'binary']) {
    const options = kafka.options.parse({ brokers, topic, format, createTopic: { partitions: 3 } });
    const sink = await openDriven(kafka, options, testHost());
    const half = events.filter((_, n) => (n % 2 === 0) === (format === 'binary'));
    const outcomes = await sink.deliver(half, never());
    await sink.close();
    expect(new Set([...outcomes.values()].map(({ kind }) => kind))).toEqual(new Set(['delivered']));
  }
}

/** What others may write to the topic. */
const FOREIGN = [
  { value: 'no JSON' },
  { value: Buffer.from([0xff, 0xfe]) },
  { value: '["a list"]' },
  { value: '{"dataschema":["a list"]}' },
  { value: '['.repeat(10_000) + ']'.repeat(10_000) },
  { value: null },
  { value: '{}', headers: { ce_id: '\xff', other: Buffer.alloc(0) } },
];

/** In a transaction, whose marker is the last record then, and an event with a header of others. */
async function writeForeign(event: CanonicalEvent): Promise<void> {
  const exactlyOnce = { transactionalId: topic, idempotent: true, maxInFlightRequests: 1 };
  const producer = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING }).producer(exactlyOnce);
  await producer.connect();
  const transaction = await producer.transaction();
  const marked = { value: JSON.stringify(event), headers: { ce_severity: 'low' } };
  await transaction.send({ topic, messages: [...FOREIGN, marked] });
  await transaction.commit();
  await producer.disconnect();
}

const keyOf = ({ source, groupId }: Group): string => `${source} ${groupId}`;

describe.skipIf(brokers === '')('the examples keep the copy that the bridge keeps', () => {
  beforeAll(async () => {
    const { events, shuffled } = histories();
    const { taken, passedOver } = laterEvents();
    await deliver([...shuffled, taken, ...passedOver]);
    await writeForeign(ofAnotherApp);
    const groups = [...mergedGroups([...events, taken]).values(), ...mergedGroups([ofAnotherApp]).values()];
    expected = new Map(groups.map((group) => [keyOf(group), group]));
  });

  const examples = { typescript: typescriptExample, python: pythonExample, java: javaExample, go: goExample };
  for (const [name, prepare] of Object.entries(examples)) {
    // The first run of a machine fetches what the example needs.
    test(`examples/${name}`, { timeout: 180_000 }, async ({ skip }) => {
      const example = await prepare();
      if ('missing' in example) {
        process.stderr.write(`SKIPPED: examples/${name}: ${example.missing}\n`);
        return skip(example.missing);
      }
      const { code, stdout, stderr } = await example.run(['--brokers', brokers, '--topic', topic, '--until-end']);
      expect(code, stderr).toBe(0);
      const groups = JSON.parse(stdout) as Group[];
      const copy = new Map(groups.map((group) => [keyOf(group), group]));
      expect(copy, `seed ${seed}`).toEqual(expected);
      expect(stderr).toMatch(/^@TGS#TEST name: .* → .as it is.$/m);
      expect(stderr.match(/passed over/g)).toHaveLength(2 + FOREIGN.length);
      const missing = await example.run(['--brokers', brokers, '--topic', `${topic}.missing`, '--until-end']);
      expect(missing).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/topic/i) });
    });
  }
});
