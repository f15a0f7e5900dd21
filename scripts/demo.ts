/** The demo, which `group-sync-bridge demo` runs in a checkout: it starts the real servers of the tests and reads them back. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Bridge, startBridge } from '../src/bridge.ts';
import { generatedSample, type SampleCallback, type SendResult, send } from '../src/cli/callbacks.ts';
import { commandLine, packageFile } from '../src/cli/installation.ts';
import { paint, print, progress } from '../src/cli/terminal.ts';
import { formatProblem, loadConfig } from '../src/config/load.ts';
import type { Config } from '../src/config/schema.ts';
import type { CanonicalEvent } from '../src/model/event.ts';
import { BridgeError } from '../src/model/fault.ts';
import { missingPrerequisite, startServers } from '../test/servers/index.ts';
import { eventually, followTopic, getDocument, type TopicRecord } from '../test/servers/readback.ts';

export interface DemoOptions {
  /** The number of callbacks beside the documented sample. */
  readonly count: number;
  /** Leaves everything running until Ctrl-C. */
  readonly keep?: boolean;
}

const GROUPS = 100;
const READ_MS = 60_000;

export async function demo({ count, keep = false }: DemoOptions): Promise<void> {
  const external = process.env.KAFKA_BROKERS && process.env.ELASTICSEARCH_URL;
  const missing = external ? undefined : await missingPrerequisite();
  const folder = await mkdtemp(join(tmpdir(), 'group-sync-bridge-demo-'));
  try {
    if (missing === undefined) return await onRealServers(folder, count, keep);
    print(paint('yellow', `No Kafka and Elasticsearch here: ${missing}`));
    print('The embedded default (journal and file connector) is shown instead.\n');
    await embedded(folder, count, keep);
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
    const config = loadDemoConfig('config/kafka-elasticsearch.yaml', folder, {
      KAFKA_BROKERS: kafka.brokers,
      ELASTICSEARCH_URL: elasticsearch.url,
      ELASTICSEARCH_REPLICAS: '0',
    });
    const bridge = await startBridge(config, 'warn');
    try {
      print(`Bridge at ${bridge.receiverUrl} on config/kafka-elasticsearch.yaml (${clock()})`);
      const { plan, result } = await post(bridge, config, count);
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
    } finally {
      await bridge.stop('the demo is over');
    }
  } finally {
    await running.stop();
  }
}

/** Without servers: the file connector's NDJSON is what there is to read. */
async function embedded(folder: string, count: number, keep: boolean): Promise<void> {
  const clock = stopwatch();
  const config = loadDemoConfig('config/bridge.yaml', folder, {});
  const bridge = await startBridge(config, 'warn');
  try {
    print(`Bridge at ${bridge.receiverUrl} on config/bridge.yaml (${clock()})`);
    const { plan, result } = await post(bridge, config, count);
    print(`Posted the documented sample and ${count} more: ${result.ok} of ${plan.length} answered OK (${clock()})`);
    const file = String(config.connectors['audit-file']?.path);
    const wanted = expectations(plan);
    const found = await untilInFile(file, wanted.events);
    print(`The file holds all ${wanted.events.size} (${clock()})`);
    print(`\n${paint('bold', 'The documented sample in the file')}`);
    print(JSON.stringify(JSON.parse(found.get(wanted.sample) ?? 'null'), null, 2));
    if (keep) await untilInterrupted(bridge);
  } finally {
    await bridge.stop('the demo is over');
  }
}

/** The shipped file as it is, but for free ports and files of its own. */
function loadDemoConfig(name: string, folder: string, env: Readonly<Record<string, string>>): Config {
  const result = loadConfig(packageFile(name), { ...process.env, ...env });
  if (!result.ok)
    throw new BridgeError({ code: 'config-invalid', message: result.problems.map(formatProblem).join('\n') });
  const { config } = result;
  const connectors = Object.entries(config.connectors).map(([key, connector]) =>
    connector.kind === 'file' ? [key, { ...connector, path: join(folder, 'events.ndjson') }] : [key, connector],
  );
  return {
    ...config,
    receiver: { ...config.receiver, host: '127.0.0.1', port: 0 },
    admin: { ...config.admin, port: 0 },
    journal: { ...config.journal, file: join(folder, 'journal.db') },
    connectors: Object.fromEntries(connectors),
  };
}

async function post(
  bridge: Bridge,
  config: Config,
  count: number,
): Promise<{ plan: SampleCallback[]; result: SendResult }> {
  const { sdkAppId, callbackTokens } = config.app;
  const at = Date.now() - count;
  const plan = [
    documentedSample(sdkAppId),
    ...Array.from({ length: count }, (_, index) => generatedSample(sdkAppId, index, GROUPS, at)),
  ];
  const bar = progress('posting', plan.length);
  const to = new URL(bridge.receiverUrl);
  const sample = (index: number): SampleCallback => plan[index] ?? documentedSample(sdkAppId);
  const result = await send(
    { to, token: callbackTokens?.[0], count: plan.length, rate: 0, connections: 16, sample, answered: bar.advance },
    new AbortController().signal,
  );
  bar.end();
  if (result.failed > 0) {
    const [failure] = result.failures.keys();
    throw new BridgeError({
      code: 'command-failed',
      message: `${result.failed} callbacks were not answered OK: ${failure}`,
    });
  }
  return { plan, result };
}

/** The lines by signature, once there is one for each of `events`. */
async function untilInFile(file: string, events: ReadonlyMap<string, unknown>): Promise<Map<string, string>> {
  const end = performance.now() + READ_MS;
  for (;;) {
    const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');
    const found = new Map(lines.map((line) => [signatureOf(line), line]));
    if ([...events.keys()].every((signature) => found.has(signature))) return found;
    if (performance.now() > end) {
      throw new BridgeError({
        code: 'command-failed',
        message: `${file} holds ${found.size} of ${events.size} callbacks`,
      });
    }
    await delay(20);
  }
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

const FIELDS = {
  Name: 'name',
  Introduction: 'introduction',
  Notification: 'notification',
  FaceUrl: 'faceUrl',
} as const;

/** Works out what both sides must hold from the callbacks alone, without the bridge's own mapping and merge. */
function expectations(plan: readonly SampleCallback[]) {
  const events = new Map<string, SampleCallback>();
  const groups = new Map<string, Record<string, string>>();
  for (const callback of plan) {
    // Per group the callbacks are made in the order of their EventTime, so the last one of a field wins.
    const body = JSON.parse(callback.body) as Record<string, string>;
    const groupId = String(body.GroupId);
    const changed = Object.entries(FIELDS).flatMap(([from, to]) =>
      body[from] === undefined ? [] : [[to, body[from]]],
    );
    events.set(JSON.stringify([groupId, Number(body.EventTime), Object.fromEntries(changed)]), callback);
    groups.set(groupId, { ...groups.get(groupId), ...Object.fromEntries(changed) });
  }
  const [sample = ''] = events.keys();
  const [sampleGroup = ''] = groups.keys();
  return { events, groups, sample, sampleGroup };
}

function signatureOf(json: string): string {
  const { subject, data } = JSON.parse(json) as CanonicalEvent;
  const { name, introduction, notification, faceUrl } = data.changed;
  return JSON.stringify([subject, data.occurredAt, { name, introduction, notification, faceUrl }]);
}

async function untilInterrupted(bridge: Bridge): Promise<void> {
  print(`\nEverything goes on running. Try: ${commandLine(`send --to ${bridge.receiverUrl}`)}`);
  print('Ctrl-C ends it.');
  await new Promise<void>((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
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
