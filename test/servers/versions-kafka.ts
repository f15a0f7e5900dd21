/**
 * The black-box check of one Kafka: callbacks to a bridge, a worker behind it, the broker killed in the middle. All four copies
 * are compared with the client's own list of what was answered OK.
 */
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { stringify } from 'yaml';
import type { CanonicalEvent } from '../../src/model/event.ts';
import type { Ledger } from '../faults/ledger.ts';
import { startLoad } from '../faults/load.ts';
import { type Verdict, watchTopic } from '../faults/oracle.ts';
import { waitUntil } from '../faults/wait.ts';
import { type BridgeHome, type BridgeProcess, bridgeHome, runCommand, spawnBridge } from '../support/bridge.process.ts';
import { SDK_APP_ID } from '../support/callbacks.ts';
import type { KafkaServer } from './kafka.ts';
import { eventually, followTopic, type TopicRecord } from './readback.ts';

const CALLBACKS = 300;
const topics = { events: 'versions.events', groups: 'versions.groups', again: 'versions.groups-again' };
const WITHIN_MS = 120_000;

/** Resolves with what was compared; throws what is wrong. */
export async function checkKafka(server: KafkaServer): Promise<string> {
  const { brokers } = server;
  const groupsTo = (topic: string) => ({ kind: 'kafka', brokers, topic, content: 'groups' });
  const events = { kind: 'kafka', brokers, topic: topics.events, createTopic: { partitions: 6 } };
  const receiving = bridgeHome(() => ({ events, groups: groupsTo(topics.groups) }));
  const working = bridgeHome(() => ({}));
  const file = join(working.folder, 'events.ndjson');
  const source = { kind: 'kafka', brokers, topic: topics.events };
  const connectors = { audit: { kind: 'file', path: file }, again: groupsTo(topics.again) };
  const worker = { app: { sdkAppId: SDK_APP_ID }, admin: { port: 0 }, source, connectors };
  writeFileSync(working.configFile, stringify(worker));
  const running: BridgeProcess[] = [];
  const start = async (home: BridgeHome): Promise<BridgeProcess> => {
    const bridge = await spawnBridge(home, (child) => process.once('exit', () => child.kill('SIGKILL')));
    running.push(bridge);
    return bridge;
  };
  try {
    const receiver = await start(receiving);
    await waitUntil(() => isInStep(receiver), 'the topics are there', WITHIN_MS);
    const delivering = await start(working);
    const ledger = await sendWithKill(server, receiver.url);
    // The worker first has to know of all that the bridge has written.
    await waitUntil(() => isInStep(receiver), 'the bridge is in step', WITHIN_MS);
    const verdicts = await judged(brokers, file, ledger);
    await checkDeadLetter(brokers, working);
    for (const bridge of [receiver, delivering]) {
      const code = await bridge.end('SIGTERM');
      if (code !== 0) throw new Error(`a bridge exited with ${code} on SIGTERM: ${bridge.stderr().slice(-1_000)}`);
    }
    const twice = verdicts.map(({ duplicates }) => duplicates).join(' and ');
    return `${ledger.answeredOk} callbacks right in 4 copies (${twice} twice), dead letters with headers`;
  } catch (thrown) {
    for (const bridge of running) process.stderr.write(`${await lastWords(bridge)}\n`);
    throw thrown;
  } finally {
    for (const bridge of running) bridge.child.kill('SIGKILL');
    for (const home of [receiving, working]) home.remove();
  }
}

/** What a bridge says of itself, and its log, for whoever looks for the cause. */
async function lastWords({ adminUrl, stdout, stderr }: BridgeProcess): Promise<string> {
  const status = await fetch(`${adminUrl}/api/status`).then(
    (answer) => answer.text(),
    (thrown: unknown) => String(thrown),
  );
  return [status, stdout(), stderr()].join('\n');
}

/** Kills the broker after a third of the callbacks, and starts it again after the second. */
async function sendWithKill(server: KafkaServer, url: string): Promise<Ledger> {
  const load = startLoad({ rate: 60, groups: 20, connections: 4 }, url);
  const answered = (count: number) => waitUntil(() => load.ledger.answeredOk >= count, `${count} OK`, WITHIN_MS, 5);
  await answered(CALLBACKS / 3);
  await server.kill();
  await answered((2 * CALLBACKS) / 3);
  await load.pause();
  // ZooKeeper lets a broker in again only when the session of the killed one has run out.
  await eventually(() => server.restart(), 'the broker is back', WITHIN_MS);
  load.resume();
  await answered(CALLBACKS);
  await load.pause();
  await load.stop();
  return load.ledger;
}

async function isInStep({ adminUrl }: BridgeProcess): Promise<boolean> {
  const { connectors } = (await (await fetch(`${adminUrl}/api/status`)).json()) as {
    connectors: { lag: number; deadLetters: number; state: { kind: string } }[];
  };
  return connectors.every(({ lag, deadLetters, state }) => lag === 0 && deadLetters === 0 && state.kind === 'running');
}

/** Waits until what the worker delivered is as it must be, since a topic says nothing of what is still to come. */
async function judged(brokers: string, file: string, ledger: Ledger): Promise<Verdict[]> {
  let verdicts: Verdict[] = [];
  const clean = async (): Promise<boolean> => {
    const [events, groups, again] = await Promise.all(Object.values(topics).map((topic) => readAll(brokers, topic)));
    const lines = (await readFile(file, 'utf8')).split('\n').filter(Boolean);
    const delivered = lines.map((value) => ({ value, key: null, partition: 0 }));
    verdicts = [judge(ledger, events ?? [], groups ?? []), judge(ledger, delivered, again ?? [])];
    return verdicts.every(({ findings }) => findings.length === 0);
  };
  try {
    await waitUntil(clean, 'all copies are as sent', WITHIN_MS, 500);
  } catch (thrown) {
    const findings = verdicts.flatMap((verdict) => verdict.findings);
    const named = findings
      .slice(0, 5)
      .map(({ kind, groupId, number, detail }) => `${kind}: ${groupId}/${number} ${detail}`);
    throw new Error(`${findings.length} findings: ${named.join('; ')}`, { cause: thrown });
  }
  return verdicts;
}

type Value = Pick<TopicRecord, 'key' | 'value' | 'partition'>;

function judge(ledger: Ledger, events: readonly Value[], groups: readonly Value[]): Verdict {
  const oracle = watchTopic(ledger);
  for (const { value, partition } of events) {
    const event = JSON.parse(value ?? 'null') as CanonicalEvent;
    oracle.take({ partition, key: event.subject, event });
  }
  const latest = groups.map(({ key, value }) => [key ?? '', JSON.parse(value ?? '{}')] as const);
  return oracle.verdict(new Map(latest), 0);
}

async function readAll(brokers: string, topic: string): Promise<readonly TopicRecord[]> {
  const admin = new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  const ends = await admin.fetchTopicOffsets(topic).finally(() => admin.disconnect());
  const total = ends.reduce((sum, { high }) => sum + Number(high), 0);
  const reader = await followTopic(brokers, topic);
  try {
    await reader.until((records) => records.length >= total, `${total} records`);
    return reader.records;
  } finally {
    await reader.close();
  }
}

/** A record that is no event becomes a dead letter of each connector, with its own headers and those that say why. */
async function checkDeadLetter(brokers: string, { configFile }: BridgeHome): Promise<void> {
  const producer = new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING }).producer();
  await producer.connect();
  const garbage = { key: 'g', value: 'no event', headers: { 'sent-by': 'somebody' } };
  await producer.send({ topic: topics.events, messages: [garbage] }).finally(() => producer.disconnect());
  const letters = await followTopic(brokers, `${topics.events}.dead-letters`);
  try {
    await letters.until((records) => records.length >= 2, 'a dead letter of each connector', WITHIN_MS);
    for (const { value, headers } of letters.records) {
      const { 'sent-by': sentBy, dead_letter_topic: topic, dead_letter_fault: fault = '' } = headers;
      const right = value === garbage.value && sentBy === 'somebody' && topic === topics.events;
      if (!right || !fault.includes('message-not-json'))
        throw new Error(`a dead letter has ${JSON.stringify(headers)}`);
    }
  } finally {
    await letters.close();
  }
  const { stdout } = await runCommand(['dead-letters', 'list', 'audit', '--json', '--config', configFile]);
  if (!stdout.includes('message-not-json')) throw new Error(`the list of dead letters is ${stdout}`);
}

/** A broker that drops headers is refused by the doctor, and by a start, in words. */
export async function checkRefused({ brokers }: KafkaServer): Promise<string> {
  const events = { kind: 'kafka', brokers, topic: topics.events };
  const home = bridgeHome(() => ({ events }));
  const bridge = await spawnBridge(home);
  try {
    const words = /are older than 0\.11/;
    const doctor = await runCommand(['check', '--connect', '--config', home.configFile]);
    if (doctor.code === 0 || !words.test(doctor.stdout + doctor.stderr))
      throw new Error(`not refused: ${doctor.stdout}`);
    const said = async () => words.test(await (await fetch(`${bridge.adminUrl}/api/status`)).text());
    await waitUntil(said, 'the status says it', WITHIN_MS);
    return 'refused in words: before 0.11';
  } finally {
    await bridge.end('SIGTERM');
    home.remove();
  }
}
