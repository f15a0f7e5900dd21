/**
 * `npm run test:consumer [-- --seed 1]`: the recipes of examples/stores, as installed, keep what the bridge keeps, in a real
 * PostgreSQL and a real Redis, while processes are killed and join, and among messages that nobody can read.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import fc from 'fast-check';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { toMessage } from '../../connectors/kafka/message.ts';
import { entryOf } from '../../src/model/entry.ts';
import type { CanonicalEvent } from '../../src/model/event.ts';
import type { Group } from '../../src/model/group.ts';
import { createRandom } from '../faults/random.ts';
import { waitUntil } from '../faults/wait.ts';
import { startKafka } from '../servers/index.ts';
import { type StoreServer, startPostgresql } from '../servers/postgresql.ts';
import { startRedis } from '../servers/redis.ts';
import { delivered, mergedGroups } from '../support/histories.ts';
import { generates } from './codegen.ts';
import { installStores, succeed } from './project.ts';

const { values } = parseArgs({ options: { seed: { type: 'string', default: String(Date.now() % 1_000_000) } } });
const seed = Number(values.seed);
const PORTIONS = 6;
const print = (line: string): void => void process.stdout.write(`${line}\n`);

/** How the program of a recipe is called, its consumer group, and what makes its place and reads its groups back as JSON. */
const STORES = {
  PostgreSQL: {
    start: () => startPostgresql(print),
    prepare: `import { readFileSync } from 'node:fs'; import { Client } from 'pg'; const client = new Client();
      await client.connect(); await client.query(readFileSync('group-table.sql', 'utf8')); await client.end();`,
    program: 'postgresql.ts',
    groupId: 'group-table',
    readBack: `import { Client } from 'pg'; const client = new Client(); await client.connect();
      const { rows } = await client.query('select state from chat_groups'); await client.end();
      console.log(JSON.stringify(rows.map(({ state }) => state)));`,
  },
  Redis: {
    start: async (): Promise<StoreServer> => {
      const { server, url } = await startRedis();
      return { server, env: { REDIS_URL: url } };
    },
    prepare: '',
    program: 'redis.ts',
    groupId: 'group-keys',
    readBack: `import { createClient } from '@redis/client';
      const client = createClient({ url: process.env.REDIS_URL }); await client.connect();
      const states = await client.mGet(await client.keys('*')); await client.close();
      console.log('[' + states.join() + ']');`,
  },
} as const;

/** Histories of some hundred groups in a shuffled order, some events twice. */
function histories(): { events: CanonicalEvent[]; shuffled: CanonicalEvent[] } {
  const pairs = fc.sample(delivered, { seed, numRuns: 150 }).map((pair, n) =>
    pair.map((events) =>
      events.map((event) => {
        // What only some stores find hard is in every id.
        const groupId = `${event.subject}${n} "\\\0`;
        return { ...event, subject: groupId, data: { ...event.data, groupId } };
      }),
    ),
  );
  const shuffled = createRandom(seed).shuffled(pairs.flatMap(([, shuffled = []]) => shuffled));
  return { events: pairs.flatMap(([events = []]) => events), shuffled };
}

/** The processes of one recipe. */
function createMembers(program: string, cwd: string, env: Readonly<Record<string, string>>) {
  const running: ChildProcess[] = [];
  let changes = 0;
  let passedOver = 0;
  let failure = '';
  return {
    get changes() {
      if (failure !== '') throw new Error(`${program} ended by itself:\n${failure}`);
      return changes;
    },
    get passedOver() {
      return passedOver;
    },
    join() {
      const args = ['--disable-warning=TimeoutNegativeWarning', program];
      const child = spawn(process.execPath, args, {
        cwd,
        env: { ...process.env, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let said = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        changes += text.split('\n').length - 1;
      });
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        passedOver += text.split('passed over').length - 1;
        said = (said + text).slice(-4_000);
      });
      child.once('exit', (code) => {
        if (code !== null) failure = `exit code ${code}\n${said}`;
      });
      running.push(child);
    },
    /** The one that has run longest. */
    async kill() {
      const child = running.shift();
      if (child === undefined || child.exitCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
    get size() {
      return running.length;
    },
  };
}

/** Tells whether everything in the topic is committed. */
async function isAtEnd(admin: Admin, topic: string, groupId: string): Promise<boolean> {
  const ends = await admin.fetchTopicOffsets(topic);
  const [committed] = await admin.fetchOffsets({ groupId, topics: [topic] });
  return ends.every(
    ({ partition, high }) =>
      high === '0' || committed?.partitions.find((one) => one.partition === partition)?.offset === high,
  );
}

async function keeps(name: keyof typeof STORES, folder: string, brokers: string, store: StoreServer): Promise<void> {
  const { program, groupId, prepare, readBack } = STORES[name];
  Object.assign(process.env, store.env);
  const run = (script: string) => succeed(process.execPath, ['--input-type=module', '-e', script], folder);
  await run(prepare);
  const topic = `groups.${name}`;
  const kafka = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING });
  const [admin, producer] = [kafka.admin(), kafka.producer()];
  await Promise.all([admin.connect(), producer.connect()]);
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 6 }] });
  const { events, shuffled } = histories();
  const messages = shuffled.map((event, n) => toMessage(entryOf(n, event), n % 3 === 0 ? 'binary' : 'structured'));
  const members = createMembers(program, folder, { KAFKA_BROKERS: brokers, TOPIC: topic });
  let kills = 0;
  try {
    members.join();
    members.join();
    for (let portion = 0; portion < PORTIONS; portion++) {
      const part = messages.filter((_, n) => n % PORTIONS === portion);
      const poison = [
        { key: `poison ${portion}`, value: '{"no":"event"}' },
        { key: `poison ${portion}`, value: null },
      ];
      const before = members.changes;
      await producer.send({ topic, messages: [...part.slice(0, 50), ...poison, ...part.slice(50)] });
      await waitUntil(() => members.changes > before + 20, `${name}: the members go on`, 180_000);
      // In the midst of the portion: one more, or one less and another instead.
      if (portion % 2 === 1) {
        await members.kill();
        kills++;
      }
      members.join();
    }
    await waitUntil(
      () => members.changes > 0 && isAtEnd(admin, topic, groupId),
      `${name}: everything is committed`,
      240_000,
    );
  } finally {
    while (members.size > 0) await members.kill();
    await Promise.all([admin.disconnect(), producer.disconnect()]);
  }
  Object.assign(process.env, store.env);
  const groups = JSON.parse(
    await succeed(process.execPath, ['--input-type=module', '-e', readBack], folder),
  ) as Group[];
  const [copy, expected] = [new Map(groups.map((group) => [group.groupId, group])), mergedGroups(events)];
  const unlike = [...expected].filter(([id, group]) => !isDeepStrictEqual(copy.get(id), group)).map(([id]) => id);
  if (unlike.length > 0 || copy.size > expected.size)
    throw new Error(
      `${unlike.length} of ${expected.size} groups are missing or differ, such as ${JSON.stringify(unlike[0])}`,
    );
  const figures = `${messages.length} messages, ${members.changes} changes, ${members.passedOver} passed over, ${kills} kills`;
  print(`${name}: ${groups.length} groups as the bridge has them (${figures})`);
}

print(`seed ${seed}`);
const stops: (() => Promise<void> | void)[] = [];
try {
  const project = await installStores();
  stops.push(project.remove);
  print('the recipes compile under strict');
  await generates(project.folder, print);
  const kafka = await startKafka({ onProgress: print });
  stops.push(() => kafka.stop());
  const done = await Promise.allSettled(
    (Object.keys(STORES) as (keyof typeof STORES)[]).map(async (name) => {
      const store = await STORES[name].start();
      stops.push(() => store.server.stop());
      await keeps(name, project.folder, kafka.brokers, store);
    }),
  );
  for (const one of done) {
    if (one.status === 'rejected') {
      process.exitCode = 1;
      print(`FAILED: ${one.reason}, ${one.reason?.cause ?? ''}`);
    }
  }
} finally {
  for (const stop of stops.reverse()) await stop();
}
