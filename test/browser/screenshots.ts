/**
 * `npm run screenshots`: the console's pictures in docs/images, taken of a bridge on real servers with an hour of made-up
 * traffic. The hour is lived through in seconds: this process's clock is moved. `-- FOLDER` takes every page there instead, in
 * each language, light, dark and on a phone, and fails where axe finds a barrier, something sticks out or is cut off.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Config } from '../../src/config/schema.ts';
import { signOf } from '../../src/intake/authentication.ts';
import { startServers } from '../servers/index.ts';
import { IDENTIFIER, SECRET_KEY, startVendor } from '../vendor/stand-in.ts';
import { launchBrowser } from './browser.ts';
import { LOOKS, lookAtAll } from './looks.ts';
import { createDice, type Made, makeTraffic } from './traffic.ts';
import { live as isLive } from './watched.ts';

const realNow = Date.now;
let shift = -3_600_000;
Date.now = () => realNow() + shift;

const { startBridge } = await import('../../src/bridge.ts');
const { configSchema } = await import('../../src/config/schema.ts');
const { systemClock } = await import('../../src/model/clock.ts');

/** A moved clock also wakes whoever sleeps in this process. */
const sleeping = new Set<{ readonly until: number; readonly wake: () => void }>();
const { sleep } = systemClock;
systemClock.sleep = async (ms, signal) => {
  const { promise, resolve: wake } = Promise.withResolvers<void>();
  const sleeper = { until: Date.now() + ms, wake };
  sleeping.add(sleeper);
  await Promise.race([sleep(ms, signal), promise]);
  sleeping.delete(sleeper);
};
function moveClock(ms: number): void {
  shift = ms;
  for (const { until, wake } of sleeping) if (until <= Date.now()) wake();
}

const folder = resolve(process.argv[2] ?? 'docs/images');
for (const language of ['ja', 'zh-cn', 'hi']) {
  // Without a font every picture would be full of boxes.
  if (spawnSync('fc-list', [`:lang=${language}`]).stdout?.length === 0) {
    throw new Error(
      `no font here has ${language}: apt-get install -y fonts-noto-core fonts-noto-cjk fonts-noto-color-emoji`,
    );
  }
}
const everything = process.argv[2] !== undefined;
mkdirSync(folder, { recursive: true });
const home = mkdtempSync(join(tmpdir(), 'bridge-pictures-'));
const print = (line: string): void => void process.stdout.write(`${line}\n`);

const external = process.env.KAFKA_BROKERS !== undefined && process.env.ELASTICSEARCH_URL !== undefined;
const servers = external ? undefined : await startServers({ onProgress: print });
const brokers = process.env.KAFKA_BROKERS ?? servers?.kafka.brokers;
const nodes = process.env.ELASTICSEARCH_URL ?? servers?.elasticsearch.url;
// Pictures show relative paths. What was preloaded by one is not found by the bridge's thread any more, nor needed.
process.chdir(home);
process.execArgv = [];
const run = `chat-${realNow().toString(36).slice(-5)}`;
const token = 'a-token-of-the-pictures';

await makeStrictIndex(`${nodes}/${run}-search`);
const vendor = await startVendor({ limits: { list: 100_000, groups: 100_000 } });

const config = configSchema.parse({
  app: { sdkAppId: '1400701118', callbackTokens: [token] },
  receiver: { host: '127.0.0.1', port: 0 },
  admin: { port: 0 },
  journal: { file: 'data/journal.db', maxBytes: '64MiB' },
  connectors: {
    'group-events': { kind: 'kafka', brokers, topic: `${run}.events`, createTopic: { partitions: 3 } },
    'group-index': { kind: 'elasticsearch', nodes, index: `${run}-groups`, createIndex: { replicas: 0 } },
    'search-index': { kind: 'elasticsearch', nodes, index: `${run}-search` },
    analytics: { kind: 'kafka', brokers: '127.0.0.1:1', topic: 'analytics.groups', content: 'groups' },
    'audit-file': { kind: 'file', path: 'data/events.ndjson' },
  },
  ...(everything && {
    reconcile: { api: { baseUrl: vendor.url, identifier: IDENTIFIER, secretKey: SECRET_KEY }, groupTypes: ['Public'] },
  }),
});
const bridge = await startBridge(config as Config, 'silent');
const dice = createDice(2026);
const traffic = makeTraffic(dice);
const [told = { id: '', type: '' }] = traffic.groups;

async function post({ search, body }: Made, sign = true): Promise<number> {
  const RequestTime = String(Math.floor(Date.now() / 1000));
  const signed = { ...search, Sign: sign ? signOf(token, RequestTime) : '0', RequestTime };
  const response = await fetch(`${bridge.receiverUrl}?${new URLSearchParams(signed)}`, {
    method: 'POST',
    body: JSON.stringify(body),
  });
  return response.status;
}

/** Ten seconds of the hour. */
async function live(slot: number): Promise<void> {
  const minute = slot / 6;
  const busy = minute > 38 && minute < 43 ? 3.2 : 1;
  const perSlot = Math.round((9 + 5 * Math.sin(minute / 9) + 4 * dice()) * busy);
  const batch: Promise<number>[] = [];
  for (let n = 0; n < perSlot; n++) {
    const made = traffic.change(Date.now() - Math.floor(dice() * 2_000));
    batch.push(post(made));
    if (dice() < 0.06) batch.push(post(made));
    if (dice() < (minute > 20 && minute < 22 ? 0.8 : 0.004)) batch.push(post(made, false));
  }
  await Promise.all(batch);
}

try {
  for (let slot = 0; slot < 360; slot++) {
    moveClock(-3_600_000 + slot * 10_000);
    await live(slot);
  }
  moveClock(0);
  await oddities();
  for (let n = 0; n < 30; n++) await post(traffic.change(Date.now() - 500));
  await story();
  for (let n = 0; n < 4; n++) await post(traffic.change(Date.now() - 300));
  await pictures(told.id);
} finally {
  await bridge.stop('the pictures are taken');
  await vendor.stop();
  for (const index of ['groups', 'search']) await fetch(`${nodes}/${run}-${index}`, { method: 'DELETE' });
  await servers?.stop();
  rmSync(home, { recursive: true, force: true });
}

/** Sends events that search-index refuses, and a shape that the bridge does not know. */
async function oddities(): Promise<void> {
  for (const n of [3, 9, 14]) {
    const GroupId = traffic.groups[n]?.id;
    await post(
      made({
        GroupId,
        Operator_Account: 'administrator',
        Introduction: `${'长'.repeat(12_000)}${n}`,
        EventTime: Date.now() - n * 1_000,
      }),
    );
  }
  await post(made({ GroupId: told.id, Name: 'renamed', EventTime: Date.now() }));
  await post(made({ GroupId: told.id, Introduction: 7, EventTime: Date.now() }));
}

/** Changes one group: a rename, a notice of two lines, and a rename that arrives ten minutes late. */
async function story(): Promise<void> {
  const of = (more: Record<string, unknown>): Made => made({ GroupId: told.id, Type: told.type, ...more });
  await post(of({ Operator_Account: 'mei.lin', Name: '周末爬山小分队 🏔', EventTime: Date.now() - 40_000 }));
  await post(
    of({
      Operator_Account: 'leckie',
      Notification: '集合时间改到早上六点半，东门见。\n请带够水和干粮；下雨顺延一周。',
      EventTime: Date.now() - 20_000,
    }),
  );
  await post(of({ Operator_Account: 'user_88213', Name: '周末徒步', EventTime: Date.now() - 600_000 }));
}

function made(body: Record<string, unknown>): Made {
  const { search, body: of } = traffic.change(Date.now());
  return { search, body: { CallbackCommand: of.CallbackCommand, Type: 'Community', ...body } };
}

async function pictures(groupId: string): Promise<void> {
  const browser = await launchBrowser();
  await settled();
  if (everything) {
    await dryRun();
    const complaints = await lookAtAll(browser, bridge.adminUrl, folder, groupId, 1);
    for (const complaint of complaints) print(complaint);
    if (complaints.length > 0) process.exitCode = 1;
  } else {
    const take = async (name: string, look: keyof typeof LOOKS, path = '/'): Promise<void> => {
      const page = await browser.newPage(LOOKS[look]);
      await page.goto(bridge.adminUrl + path);
      await isLive(page);
      await page.screenshot({ path: join(folder, `${name}.png`) });
      await page.close();
      print(`${name}.png`);
    };
    await take('console-light', 'light');
    await take('console-dark', 'dark');
    await take('console-phone', 'phone');
    await take('console-group', 'light', `/group?id=${encodeURIComponent(groupId)}`);
  }
  await browser.close();
}

/** Some groups are called otherwise at the service, some are new to the bridge, many are gone. */
async function dryRun(): Promise<void> {
  const known = traffic.groups.filter(({ type }) => type === 'Public');
  for (const { id, name } of known.slice(0, 5)) vendor.create({ GroupId: id, Name: `${name} ✓` });
  for (let n = 0; n < 3; n++) vendor.create({ GroupId: `@TGS#NEW${n}`, Name: `新しいグループ ${n}` });
  await fetch(`${bridge.adminUrl}/actions/reconcile`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin: bridge.adminUrl },
    body: 'dryRun=yes',
  });
}

/** Until the connectors that can be reached have taken everything. */
async function settled(): Promise<void> {
  for (;;) {
    const { connectors } = (await (await fetch(`${bridge.adminUrl}/api/status`)).json()) as {
      connectors: { name: string; lag: number; deadLetters: number }[];
    };
    const rest = connectors.filter(({ name }) => name !== 'analytics');
    if (rest.every(({ lag }) => lag === 0) && rest.some(({ deadLetters }) => deadLetters > 0)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** An index of somebody's own that refuses a text it cannot index. */
async function makeStrictIndex(url: string): Promise<void> {
  const response = await fetch(url, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      settings: { number_of_replicas: 0 },
      mappings: {
        properties: {
          introduction: { type: 'keyword' },
          customFields: { type: 'flattened' },
          versions: { type: 'object', enabled: false },
        },
      },
    }),
  });
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
}
