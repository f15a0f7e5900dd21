/**
 * Invariants 1 and 2 under faults, on a Kafka and an Elasticsearch of this file's own. The oracle is the client's list of
 * OK answers (faults/ledger.ts). `npm run test:faults -- --minutes N` does the same for longer.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CanonicalEvent } from '../../src/model/event.ts';
import { missingPrerequisite } from '../servers/index.ts';
import { fillDisk, whyNoSmallDisk } from './disk.ts';
import { changedTo, createLedger, fieldsOf, nextCallback } from './ledger.ts';
import { type Finding, watchTopic } from './oracle.ts';
import { createRandom } from './random.ts';
import { type FaultName, type Outages, runRound } from './rounds.ts';
import { type FaultyServers, startFaultyServers } from './servers.ts';
import { createTestbed, type Testbed } from './testbed.ts';
import { waitUntil } from './wait.ts';

describe('the oracle of the fault tests', () => {
  const GROUP = '@TGS#fault0';
  const ALL = [0, 1, 2];
  const DOCUMENT = { name: 2, notification: 2, introduction: 1 };

  /** Three callbacks of one group were sent, the last without an answer; then these records and this document are found. */
  function kindsOfFindings(inKafka: readonly number[], document: Readonly<Record<string, number>>): Finding['kind'][] {
    const ledger = createLedger(1);
    const group = ledger.groups.get(GROUP);
    if (group === undefined) throw new Error('there is no group');
    for (const number of ALL) nextCallback(group, 1).sent.ok = number < 2;
    const { take, verdict } = watchTopic(ledger);
    for (const number of inKafka) {
      const changed = Object.fromEntries(fieldsOf(number).map((field) => [field, changedTo(field, number)]));
      const data = { changed, occurredAt: group.sent[number]?.eventTime };
      take({ partition: 0, key: GROUP, event: { id: `id ${number}`, data } as unknown as CanonicalEvent });
    }
    const fields = Object.entries(document).map(([field, number]) => [field, changedTo(field as 'name', number)]);
    const { findings } = verdict(new Map([[GROUP, Object.fromEntries(fields)]]), 0);
    return findings.map(({ kind }) => kind);
  }

  test('takes duplicates, and an unanswered callback that was delivered or not', () => {
    expect(kindsOfFindings([0, 1, 0, 1, 2], DOCUMENT)).toEqual([]);
    expect(kindsOfFindings([0, 1], { name: 0, introduction: 1 })).toEqual([]);
    // On the way of an unanswered one anything may have happened.
    expect(kindsOfFindings([2, 0, 1], DOCUMENT)).toEqual(['out of order', 'out of order']);
  });
  test('sees a callback that is missing in Kafka', () => {
    expect(kindsOfFindings([1, 2], DOCUMENT)).toEqual(['missing in Kafka']);
  });
  test('sees a callback that is missing in Elasticsearch', () => {
    expect(kindsOfFindings(ALL, { name: 2, notification: 2 })).toEqual(['missing in Elasticsearch']);
    expect(kindsOfFindings([0, 1], { introduction: 1 })).toEqual(['missing in Elasticsearch']);
  });
  test('sees two callbacks of one group that changed places', () => {
    expect(kindsOfFindings([1, 0, 2], DOCUMENT)).toEqual(['out of order']);
  });
  test('sees copies that differ, and what was never sent', () => {
    expect(kindsOfFindings(ALL, { ...DOCUMENT, name: 0 })).toEqual(['copies differ']);
    expect(kindsOfFindings([...ALL, 7], DOCUMENT)).toEqual(['not as sent']);
  });
});

const missing = process.env.BRIDGE_TEST_SERVERS === 'off' ? 'BRIDGE_TEST_SERVERS=off' : await missingPrerequisite();
const skipped = missing === undefined ? '' : ` (skipped: ${missing})`;
const noSmallDisk = whyNoSmallDisk();

// Servers start in their own time on a busy machine.
const PATIENCE = { timeout: 180_000 };

describe.skipIf(missing !== undefined)(`nothing that was answered OK is lost${skipped}`, PATIENCE, () => {
  const outages: Outages = { downMs: [1_000, 1_500], hangMs: 5_000, compare: false, bridgeToo: 0 };
  const random = createRandom(1);
  let servers: FaultyServers;
  let testbed: Testbed;

  beforeAll(async () => {
    servers = await startFaultyServers();
    testbed = await createTestbed(servers, {
      load: { rate: 250, groups: 200, connections: 6 },
      // Shorter than the outages: requests time out, delivered events are pruned meanwhile.
      connector: { requestTimeoutMs: 2_000, retry: { initialMs: 100, maxMs: 500 } },
      journal: { keepDelivered: '5s' },
    });
    await waitUntil(() => testbed.load.ledger.answeredOk > 500, 'the load is under way');
  });
  afterAll(async () => {
    await testbed?.close();
    await servers?.stop();
  });

  const round = (fault: FaultName) => runRound(fault, testbed, random, outages);

  /** Compares all that was sent up to here with what both copies hold. */
  async function expectNothingLost(): Promise<void> {
    expect(await testbed.verify()).toMatchObject({ findings: [], deadLetters: 0 });
  }

  test('when the bridge is killed, three times', async () => {
    for (let kill = 0; kill < 3; kill++) await round('bridge-kill');
    await expectNothingLost();
  });

  test('when Kafka and Elasticsearch are killed', async () => {
    await Promise.all([round('kafka-kill'), round('elasticsearch-kill')]);
    await expectNothingLost();
  });

  test('when Kafka hangs', async () => {
    await round('kafka-hang');
    await expectNothingLost();
  });

  test('when Elasticsearch hangs, and neither the receiver nor Kafka waits for it', async () => {
    const { load } = testbed;
    load.failures();
    const { windows } = await round('elasticsearch-hang');
    expect(load.failures()).toEqual(new Map());
    expect(windows?.during.answers.length).toBeGreaterThan(500);
    expect(windows?.during.endToEnd.count).toBeGreaterThan(500);
    await expectNothingLost();
  });

  test('when connections to Kafka, Elasticsearch and the bridge are cut mid-answer', async () => {
    for (const fault of ['kafka-cut', 'elasticsearch-cut', 'client-cut'] as const) await round(fault);
    await expectNothingLost();
  });

  const noDisk = noSmallDisk === undefined ? '' : ` (skipped: ${noSmallDisk})`;
  test.skipIf(noSmallDisk !== undefined)(
    `when the journal’s disk is full, and it records again when there is room${noDisk}`,
    async () => {
      await testbed.route(false);
      const { verdict, failures, readiness, answeredOkWhenFull } = await fillDisk(servers, random.next() < 0.5);
      expect(readiness).toEqual([503, 200]);
      expect(failures.get('HTTP 503')).toBeGreaterThan(0);
      expect(verdict).toMatchObject({ findings: [], deadLetters: 0 });
      expect(verdict.answeredOk).toBeGreaterThan(answeredOkWhenFull);
    },
  );
});
