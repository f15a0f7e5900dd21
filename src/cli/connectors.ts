/** The commands about one connector of a running bridge: pause, resume, replay. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import type { z } from 'zod';
import { type ConnectorStatus, groupCount, replayAnswer, type replayRequest } from '../admin/contract.ts';
import { BridgeError } from '../model/fault.ts';
import { plural } from '../model/text.ts';
import { type AdminClient, type AdminOptions, adminClient, inPath, noContent } from './admin.ts';
import { examples, onRunningBridge } from './options.ts';
import { print, progress, visible } from './terminal.ts';

type From = z.input<typeof replayRequest>['from'];

export function addConnectors(program: Command): void {
  onRunningBridge(
    program
      .command('pause')
      .description('stop delivering to a connector; callbacks go on being recorded')
      .argument('<name>')
      .addHelpText('after', examples('pause group-index')),
  ).action(pause);

  onRunningBridge(
    program
      .command('resume')
      .description('go on delivering to a connector')
      .argument('<name>')
      .addHelpText('after', examples('resume group-index')),
  ).action(resume);

  onRunningBridge(
    program
      .command('replay')
      .description('deliver recorded events to a connector again; copies converge, so it is safe at any time')
      .argument('<name>')
      .requiredOption(
        '--from <where>',
        'beginning, a seq, a time such as 2026-01-31T12:00:00Z, or groups: the merged state of every group',
        parseFrom,
      )
      .option('--no-wait', 'return at once')
      .addHelpText(
        'after',
        examples(
          'replay group-index --from groups',
          'replay audit-file --from 2026-01-31T12:00:00Z',
          'replay group-events --from 1200 --no-wait',
        ),
      ),
  ).action(replay);
}

async function pause(name: string, options: AdminOptions): Promise<void> {
  await adminClient(options).ask(noContent, (api) => api.connectors[':name'].pause.$post({ param: inPath(name) }));
  if (options.json) return print(JSON.stringify({ connector: name, paused: true }));
  print(`${name} is paused, also over restarts, until it is resumed; callbacks go on being recorded`);
}

async function resume(name: string, options: AdminOptions): Promise<void> {
  await adminClient(options).ask(noContent, (api) => api.connectors[':name'].resume.$post({ param: inPath(name) }));
  if (options.json) return print(JSON.stringify({ connector: name, paused: false }));
  print(`${name} goes on`);
}

/** Reads `beginning`, `groups`, a seq, or a time as an ISO date, into the form that the API takes. */
function parseFrom(text: string): From {
  if (text === 'beginning' || text === 'groups') return text;
  if (/^[1-9]\d*$/.test(text)) return { seq: Number(text) };
  const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(time)) return { time };
  throw new InvalidArgumentError('beginning, groups, a seq, or a time such as 2026-01-31T12:00:00Z is expected');
}

type ReplayOptions = AdminOptions & { readonly from: From; readonly wait: boolean };

async function replay(name: string, options: ReplayOptions): Promise<void> {
  const client = adminClient(options);
  return options.from === 'groups' ? replayGroups(client, name, options) : replayEvents(client, name, options);
}

async function replayEvents(client: AdminClient, name: string, options: ReplayOptions): Promise<void> {
  const { from, events } = await client.ask(replayAnswer, (api) =>
    api.connectors[':name'].replay.$post({ param: inPath(name), json: { from: options.from } }),
  );
  const say = (text: string, done: boolean): void =>
    print(options.json ? JSON.stringify({ connector: name, from, events, done }) : text);
  if (events === 0) return say('nothing to replay: the journal holds no event from there on', true);
  const count = plural(events, 'event');
  if (!options.wait) return say(`${name} delivers ${count} again, from seq ${from}`, false);
  const bar = progress(`replaying to ${name}`, events);
  for (;;) {
    const connector = await client.connector(name);
    bar.set(Math.min(events, Math.max(0, connector.cursor - from + 1)));
    if (connector.cursor >= from + events - 1) {
      bar.end();
      return say(`${name} delivered ${count} again, from seq ${from}`, true);
    }
    if (!isDelivering(connector)) {
      bar.end();
      return say(`${whyStuck(connector)}; the replay goes on by itself when it can`, false);
    }
    await delay(POLL_MS);
  }
}

async function replayGroups(client: AdminClient, name: string, { json, wait }: ReplayOptions): Promise<void> {
  const { groups } = await client.ask(groupCount, (api) =>
    api.connectors[':name'].replay.$post({ param: inPath(name), json: { from: 'groups' } }),
  );
  const say = (text: string, delivered: number, failed: number, done: boolean): void =>
    print(json ? JSON.stringify({ connector: name, groups, delivered, failed, done }) : text);
  if (!wait) return say(`${name} is brought ${plural(groups, 'group')}`, 0, 0, false);
  const connector = await untilGroupsAreThere(client, name, `bringing groups to ${name}`, groups);
  const { done = 0, failed = 0, ended = false } = connector.restore ?? {};
  const brought = done - failed;
  if (!ended) return say(`${whyStuck(connector)}; the rest comes when it can`, brought, failed, false);
  say(`${name} was brought ${plural(brought, 'group')}`, brought, failed, true);
  if (failed > 0) {
    const message = `${plural(failed, 'group')} not taken: the bridge’s log says why`;
    throw new BridgeError({ code: 'command-failed', message });
  }
}

export const POLL_MS = 200;

/** Waits until every group was brought to a connector, or compared with it, or until this cannot go on. */
export async function untilGroupsAreThere(
  client: AdminClient,
  name: string,
  label: string,
  groups: number,
  signal?: AbortSignal,
): Promise<ConnectorStatus> {
  const bar = progress(label, groups);
  for (;;) {
    const connector = await client.connector(name);
    const { done = 0, ended = false } = connector.restore ?? {};
    bar.set(done);
    if (ended || signal?.aborted || !isDelivering(connector)) {
      bar.end();
      return connector;
    }
    await delay(POLL_MS, undefined, { ...(signal && { signal }) }).catch(() => {});
  }
}

/** Says whether the connector gets on by itself. */
export function isDelivering({ state }: ConnectorStatus): boolean {
  return state.kind === 'running' || state.kind === 'connecting';
}

function whyStuck({ name, state }: ConnectorStatus): string {
  return `${name} is ${state.kind}${state.kind === 'waiting' ? `: ${visible(state.fault.message)}` : ''}`;
}
