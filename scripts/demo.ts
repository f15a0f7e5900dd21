/** The demo, which `group-sync-bridge demo` runs in a checkout: it starts the real servers of the tests and reads them back. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBridge } from '../src/bridge.ts';
import {
  type DemoOptions,
  embeddedDemo,
  expectedGroups,
  inEventWords,
  loadDemoConfig,
  post,
  sayWhere,
  untilInterrupted,
} from '../src/cli/embedded-demo.ts';
import { commandLine } from '../src/cli/installation.ts';
import { paint, print } from '../src/cli/terminal.ts';
import { generatedSample, type SampleCallback } from '../src/intake/sample.ts';
import type { CanonicalEvent } from '../src/model/event.ts';
import { missingPrerequisite, startServers } from '../test/servers/index.ts';
import { eventually, followTopic, getDocument, type TopicRecord } from '../test/servers/readback.ts';

const GROUPS = 100;
const READ_MS = 60_000;
/** Servers that run already may hold, under the names of the file, what a real bridge wrote. */
const OWN_NAMES: Readonly<Record<string, object>> = {
  'group-events': { topic: 'demo.group-info.events' },
  'group-index': { index: 'demo-groups' },
};

export async function demo({ count, keep = false }: DemoOptions): Promise<void> {
  const external = process.env.KAFKA_BROKERS && process.env.ELASTICSEARCH_URL;
  const missing = external ? undefined : await missingPrerequisite();
  const folder = await mkdtemp(join(tmpdir(), 'group-sync-bridge-demo-'));
  try {
    if (missing === undefined) return await onRealServers(folder, count, keep);
    print(paint('yellow', `No Kafka and Elasticsearch here: ${missing}`));
    print('What needs none is shown instead.\n');
    await embeddedDemo({ count, keep }, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function onRealServers(folder: string, count: number, keep: boolean): Promise<void> {
  const clock = stopwatch();
  const running = await startServers({ onProgress: (line) => print(paint('dim', `  ${line}`)) });
  try {
    const { kafka, elasticsearch } = running;
    print(`Kafka at ${kafka.brokers}, Elasticsearch at ${elasticsearch.url} (${clock()})`);
    const shipped = loadDemoConfig('config/kafka-elasticsearch.yaml', folder, {
      KAFKA_BROKERS: kafka.brokers,
      ELASTICSEARCH_URL: elasticsearch.url,
      ELASTICSEARCH_REPLICAS: '0',
    });
    const named = Object.entries(shipped.connectors).map(([name, one]) => [name, { ...one, ...OWN_NAMES[name] }]);
    const config = { ...shipped, connectors: Object.fromEntries(named) };
    const bridge = await startBridge(config, 'warn');
    try {
      sayWhere(bridge);
      print(`on config/kafka-elasticsearch.yaml, with a topic and an index of the demo’s own (${clock()})`);
      const plan = plannedCallbacks(config.app.sdkAppId, count);
      const result = await post(bridge, config, plan);
      print(`Posted the documented sample and ${count} more: ${result.ok} of ${plan.length} answered OK (${clock()})`);
      const topic = String(config.connectors['group-events']?.topic);
      const index = String(config.connectors['group-index']?.index);
      const wanted = expectations(plan);

      const reader = await followTopic(kafka.brokers, topic);
      const found = new Map<string, TopicRecord>();
      let scanned = 0;
      await reader.until(
        (records) => {
          for (const record of records.slice(scanned)) found.set(signatureOf(record.value ?? '{}'), record);
          scanned = records.length;
          return [...wanted.events.keys()].every((signature) => found.has(signature));
        },
        'every callback',
        READ_MS,
      );
      await reader.close();
      print(`Kafka topic ${topic} holds all ${wanted.events.size} (${clock()})`);

      const total = wanted.groups.size;
      await eventually(
        async () => {
          for (const [groupId, fields] of wanted.groups) {
            const document = await getDocument(elasticsearch.url, index, groupId);
            const differs = Object.entries(fields).find(([field, value]) => document?.[field] !== value);
            if (differs) throw new Error(`${groupId}: ${differs[0]} is ${String(document?.[differs[0]])}`);
          }
        },
        `every group in ${index}`,
        READ_MS,
      );
      print(
        `Elasticsearch index ${index} holds all ${total} groups with the values of their last callback (${clock()})`,
      );

      const sample = found.get(wanted.sample);
      print(`\n${paint('bold', 'The documented sample in Kafka')}: ${topic}/${sample?.partition}@${sample?.offset}`);
      print(`key      ${sample?.key}`);
      print(`headers  ${JSON.stringify(sample?.headers)}`);
      print(`value    ${JSON.stringify(JSON.parse(sample?.value ?? 'null'), null, 2)}`);
      print(`\n${paint('bold', 'and in Elasticsearch')}: ${index}/_doc/${wanted.sampleGroup}`);
      print(JSON.stringify(await getDocument(elasticsearch.url, index, wanted.sampleGroup), null, 2));
      print(`\n${paint('green', 'Both hold every callback.')}`);
      if (keep) await untilInterrupted(bridge);
      else print(`To look around in its console and in both: ${commandLine('demo --keep')}`);
    } finally {
      await bridge.stop('the demo is over');
    }
  } finally {
    await running.stop();
  }
}

/** The documented sample, and made-up callbacks, per group in the order of their EventTime. */
function plannedCallbacks(sdkAppId: string, count: number): SampleCallback[] {
  const at = Date.now() - count;
  const made = (_: unknown, index: number) => generatedSample(sdkAppId, index, GROUPS, at + Math.floor(index / GROUPS));
  return [documentedSample(sdkAppId), ...Array.from({ length: count }, made)];
}

/** The sample of the vendor's documentation, without its comments. */
function documentedSample(sdkAppId: string): SampleCallback {
  const { query } = generatedSample(sdkAppId, 0, 1, 0);
  return {
    query: { ...query, ClientIP: '113.118.225.178' },
    body: JSON.stringify({
      CallbackCommand: query.CallbackCommand,
      GroupId: '@TGS#2J4SZEAEL',
      Type: 'Public',
      Operator_Account: 'leckie',
      Name: 'MyFirstGroup',
      Introduction: 'TestIntroduction',
      Notification: 'TestNotification',
      FaceUrl: 'http://this.is.face.url',
      EventTime: '1670574414123',
    }),
  };
}

/** Works out what both sides must hold from the callbacks alone, without the bridge's own mapping and merge. */
function expectations(plan: readonly SampleCallback[]) {
  const events = new Map<string, SampleCallback>();
  for (const callback of plan) {
    const body = JSON.parse(callback.body) as Record<string, string>;
    events.set(JSON.stringify([body.GroupId, Number(body.EventTime), inEventWords(body)]), callback);
  }
  const groups = expectedGroups(plan);
  const [sample = ''] = events.keys();
  const [sampleGroup = ''] = groups.keys();
  return { events, groups, sample, sampleGroup };
}

function signatureOf(json: string): string {
  const { subject, data } = JSON.parse(json) as CanonicalEvent;
  const { name, introduction, notification, faceUrl } = data.changed;
  return JSON.stringify([subject, data.occurredAt, { name, introduction, notification, faceUrl }]);
}

function stopwatch(): () => string {
  let last = performance.now();
  return () => {
    const now = performance.now();
    const seconds = ((now - last) / 1000).toFixed(1);
    last = now;
    return `${seconds} s`;
  };
}
