/** The demo without servers: a bridge that writes events to a file, and a reader of that file. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Bridge, startBridge } from '../bridge.ts';
import { createGroupView, type GroupEvent, parseEvent } from '../client/index.ts';
import { loadConfig } from '../config/load.ts';
import { formatProblem } from '../config/problems.ts';
import type { Config } from '../config/schema.ts';
import { generatedSample, type SampleCallback, send } from '../intake/sample.ts';
import { BridgeError } from '../model/fault.ts';
import { plural } from '../model/text.ts';
import { commandLine, packageFile } from './installation.ts';
import { failed } from './options.ts';
import { interruption, paint, print, progress } from './terminal.ts';

export interface DemoOptions {
  /** How many callbacks to send in addition to the sample. */
  readonly count: number;
  readonly keep?: boolean;
}

const GROUPS = 20;
const READ_MS = 60_000;

/** Sends callbacks late, twice and in random order, and shows what a reader makes of their events. */
export async function embeddedDemo({ count, keep = false }: DemoOptions, folder: string): Promise<void> {
  const start = performance.now();
  const config = loadDemoConfig('config/bridge.yaml', folder, {});
  const bridge = await startBridge(config, 'error', { log: 'text' });
  try {
    sayWhere(bridge);
    const reader = readFile(String(config.connectors['audit-file']?.path));
    await tellOutOfOrder(bridge, config, reader);
    await tellMany(bridge, config, reader, count);
    print(paint('green', `\nDone in ${((performance.now() - start) / 1_000).toFixed(1)} s.`));
    if (keep) await untilInterrupted(bridge);
    else
      print(
        `Look around in its console: ${commandLine('demo --embedded --keep')}. A bridge of your own: ${commandLine('start')}`,
      );
  } finally {
    await bridge.stop('the demo is over');
  }
}

export function sayWhere({ adminUrl, receiverUrl }: Bridge): void {
  print(`Console  ${paint('bold', `${adminUrl}/`)}`, `Bridge   ${receiverUrl}`);
}

/** Returns the shipped configuration, but with free ports and with files in `folder`. */
export function loadDemoConfig(name: string, folder: string, env: Readonly<Record<string, string>>): Config {
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

/** Posts callbacks, in this order if there is one connection; throws if one is not answered OK. */
export async function post(bridge: Bridge, config: Config, plan: readonly SampleCallback[], connections = 16) {
  const bar = await progress('posting', plan.length);
  const to = new URL(bridge.receiverUrl);
  const token = config.app.callbackTokens?.[0];
  const sample = (index: number): SampleCallback => plan[index] as SampleCallback;
  const result = await send(
    { to, token, count: plan.length, rate: 0, connections, sample, answered: bar.advance },
    new AbortController().signal,
  );
  bar.end();
  if (result.failed === 0) return result;
  const [failure] = result.failures.keys();
  throw failed(`${plural(result.failed, 'callback was', 'callbacks were')} not answered OK: ${failure}`);
}

function callback(config: Config, at: number, fields: Readonly<Record<string, string>>): SampleCallback {
  const { query, body } = generatedSample(config.app.sdkAppId, 0, 1, at);
  const { Name: _, ...rest } = JSON.parse(body) as Record<string, unknown>;
  return { query, body: JSON.stringify({ ...rest, GroupId: '@TGS#DEMO', ...fields }) };
}

type Reader = ReturnType<typeof readFile>;

/** Sends changes of one group in a wrong order, and prints what the reader does with each. */
async function tellOutOfOrder(bridge: Bridge, config: Config, reader: Reader): Promise<void> {
  const base = Math.floor(Date.now() / 60_000 - 1) * 60_000;
  const told: [at: number, fields: Record<string, string>][] = [
    [base, { Name: 'Tea club' }],
    [base + 2_000, { Name: 'Tea house', Notification: 'Closed on Monday' }],
    [base + 1_000, { Name: 'Tea room', FaceUrl: 'https://faces.example/tea.png' }],
  ];
  print('\nOne group, its events out of order, and what a reader of them does (src/client, the consumer kit):');
  for (const [at, fields] of told) {
    await post(bridge, config, [callback(config, at, fields)], 1);
    const [took = ''] = await reader.take(1);
    print(`  ${new Date(at).toISOString().slice(11, 19)} ${JSON.stringify(fields)}\n           ${took}`);
  }
  const [, again] = told;
  if (again !== undefined) await post(bridge, config, [callback(config, ...again)], 1);
  print('  the second one once more\n           answered OK, and no second event');
  const { name, notification, faceUrl } = reader.groups.get('@TGS#DEMO') ?? {};
  print(`  now      ${paint('bold', JSON.stringify({ name, notification, faceUrl }))}`);
}

/** Sends many callbacks in random order, every tenth twice, and checks what the reader holds in the end. */
async function tellMany(bridge: Bridge, config: Config, reader: Reader, count: number): Promise<void> {
  const base = Date.now() - count * 1_000;
  const plan = Array.from({ length: count }, (_, index) =>
    generatedSample(config.app.sdkAppId, index, GROUPS, base + index * 1_000),
  );
  const twice = plan.filter((_, index) => index % 10 === 0);
  const shuffled = [...plan, ...twice]
    .map((one) => ({ one, place: Math.random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ one }) => one);
  const { ok } = await post(bridge, config, shuffled);
  await reader.take(count);
  const groups = expectedGroups(plan);
  const wrong = [...groups].filter(([groupId, fields]) => {
    const group: Readonly<Record<string, unknown>> = { ...reader.groups.get(groupId) };
    return Object.entries(fields).some(([field, text]) => group[field] !== text);
  });
  if (wrong.length > 0) throw failed(`the reader has wrong values of ${wrong.map(([id]) => id).join(', ')}`);
  print(
    `\n${plural(count, 'more callback')} in a random order, every tenth twice: ${ok} answered OK, ${plural(count, 'event')}.`,
    `All ${groups.size} groups of the reader have the latest values.`,
  );
}

const FIELDS = { Name: 'name', Introduction: 'introduction', Notification: 'notification', FaceUrl: 'faceUrl' };

/** Works out the final fields of each group from callbacks in order of EventTime, independently of the bridge's merge. */
export function expectedGroups(plan: readonly SampleCallback[]): Map<string, Record<string, string>> {
  const groups = new Map<string, Record<string, string>>();
  for (const { body } of plan) {
    const { GroupId = '', ...said } = JSON.parse(body) as Record<string, string>;
    groups.set(GroupId, { ...groups.get(GroupId), ...inEventWords(said) });
  }
  return groups;
}

/** Returns the profile fields of a callback by their names in events. */
export function inEventWords(said: Readonly<Record<string, string>>): Record<string, string> {
  const named = Object.entries(FIELDS).map(([from, to]) => [to, said[from]]);
  return Object.fromEntries(named.filter(([, text]) => text !== undefined));
}

function readFile(path: string) {
  let read = 0;
  let change = '';
  const groups = createGroupView({
    onChange: (_before, after, _event, fields) => {
      const values = fields.map((field) => `${field} to ${JSON.stringify({ ...after }[field as 'name'])}`);
      change = `sets ${values.join(', ')}`;
    },
  });
  const applied = (event: GroupEvent): string => {
    change = '';
    const group: Readonly<Record<string, unknown>> = { ...groups.apply(event) };
    const late = Object.entries(event.data.changed).filter(([field, value]) => group[field] !== value);
    const left = late.map(([field]) => `leaves ${field} as it is: a later one is known`);
    return [change, ...left].filter((part) => part !== '').join('; ');
  };
  return {
    groups,
    /** Applies the next `count` events; resolves with what each did. */
    async take(count: number): Promise<string[]> {
      const end = performance.now() + READ_MS;
      for (;;) {
        // What follows the last line feed is still being written.
        const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(read, -1) : [];
        if (lines.length >= count) {
          read += count;
          return lines.slice(0, count).map((value) => {
            const parsed = parseEvent({ value });
            if (!parsed.ok) throw new BridgeError(parsed.fault);
            return applied(parsed.event);
          });
        }
        if (performance.now() > end) throw failed(`${path} lacks ${count - lines.length} events`);
        await delay(50);
      }
    },
  };
}

export async function untilInterrupted({ adminUrl, receiverUrl }: Bridge): Promise<void> {
  print(
    `\nEverything keeps running. Look at ${adminUrl}/, and send more: ${commandLine(`send --to ${receiverUrl}`)}`,
    'Ctrl-C ends it.',
  );
  const told = interruption();
  await new Promise((resolve) => told.addEventListener('abort', resolve));
}
