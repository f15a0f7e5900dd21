/** The commands that change what a running bridge does: reload, pause, resume, replay. */
import { type Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { type ConnectorStatus, groupCount, replayAnswer, type replayRequest } from '../admin/contract.ts';
import { reloadResult } from '../model/signal.ts';
import { figure, plural } from '../model/text.ts';
import { type AdminClient, adminClient, inPath } from './admin.ts';
import { type AdminOptions, addCommand, failed, isoTime, onRunningBridge } from './options.ts';
import { answer, follow, paint } from './terminal.ts';

const noContent = z.object({});

export function addOperations(program: Command): void {
  const takeOver = 'make the running bridge reload its configuration';
  onRunningBridge(addCommand(program, 'reload', takeOver, 'reload'))
    .addHelpText('after', '\nSIGHUP does the same. A file with problems changes nothing.')
    .action(reload);

  const stop = 'stop delivering to a connector; callbacks are still recorded';
  onRunningBridge(addCommand(program, 'pause <name>', stop, 'pause group-index')).action(setPaused(true));
  const goOn = 'resume delivering to a connector';
  onRunningBridge(addCommand(program, 'resume <name>', goOn, 'resume group-index')).action(setPaused(false));

  onRunningBridge(
    addCommand(
      program,
      'replay <name>',
      'deliver recorded events to a connector again; copies converge, so it is safe at any time',
      'replay group-index --from groups',
      'replay audit-file --from 2026-01-31T12:00:00Z',
      'replay group-events --from 1200 --no-wait',
    )
      .requiredOption(
        '--from <where>',
        'beginning, a seq, a time such as 2026-01-31T12:00:00Z, or groups: the merged state of every group',
        parseFrom,
      )
      .option('--no-wait', 'return at once'),
  ).action((name: string, options: ReplayOptions) =>
    options.from === 'groups' ? replayGroups(name, options) : replayEvents(name, options),
  );
}

async function reload(options: AdminOptions): Promise<void> {
  const reloaded = await adminClient(options).ask(reloadResult, (api) => api.reload.$post());
  const parts: [title: string, names: readonly string[]][] = [
    ['added', reloaded.added],
    ['changed', reloaded.changed],
    ['removed', reloaded.removed],
    ['now in effect', reloaded.applied],
    [paint('yellow', 'takes effect at the next start'), reloaded.needsRestart],
  ];
  const lines = parts.filter(([, names]) => names.length > 0).map(([title, names]) => `${title}: ${names.join(', ')}`);
  answer(options, reloaded, lines.length > 0 ? lines : 'nothing has changed');
}

const setPaused =
  (paused: boolean) =>
  async (name: string, options: AdminOptions): Promise<void> => {
    const client = adminClient(options);
    await client.ask(noContent, (api) =>
      api.connectors[':name'][paused ? 'pause' : 'resume'].$post({ param: inPath('name', name) }),
    );
    if (!paused) return answer(options, { connector: name, paused }, `${name} is resumed`);
    const held =
      'source' in (await client.status())
        ? ' in this worker, until it is resumed or the worker stops; its events wait in the topic'
        : ', across restarts, until it is resumed; callbacks are still recorded';
    answer(options, { connector: name, paused }, `${name} is paused${held}`);
  };

type From = z.input<typeof replayRequest>['from'];
type ReplayOptions = AdminOptions & { readonly from: From; readonly wait: boolean };

/** Turns `beginning`, `groups`, a seq or an ISO date into the form that the API takes. */
function parseFrom(text: string): From {
  if (text === 'beginning' || text === 'groups') return text;
  if (/^[1-9]\d*$/.test(text)) return { seq: Number(text) };
  const time = isoTime(text);
  if (time !== undefined) return { time };
  throw new InvalidArgumentError('beginning, groups, a seq, or a time such as 2026-01-31T12:00:00Z is expected');
}

async function replayEvents(name: string, options: ReplayOptions): Promise<void> {
  const client = adminClient(options);
  const { from, events } = await client.ask(replayAnswer, (api) =>
    api.connectors[':name'].replay.$post({ param: inPath('name', name), json: { from: options.from } }),
  );
  const say = (text: string, done: boolean, rest: { delivered?: number; refused?: number } = {}): void =>
    answer(options, { connector: name, from, events, done, ...rest }, text);
  if (events === 0) return say('nothing to replay: the journal holds no event from that point on', true);
  const what = `${plural(events, 'event')} again, from seq ${from}`;
  if (!options.wait) return say(`${name} delivers ${what}`, false);
  const isDone = ({ cursor }: ConnectorStatus): boolean => cursor >= from + events - 1;
  const connector = await follow(
    `replaying to ${name}`,
    () => client.connector(name),
    (now) => ({ done: now.cursor - from + 1, total: events, over: isDone(now) || !isDelivering(now) }),
  );
  if (isDone(connector)) {
    const { refused = 0, waiting = 0 } = connector.replayed ?? {};
    const delivered = events - refused - waiting;
    const left = waiting === 0 ? '' : `, ${figure(waiting)} pending`;
    const became = `${figure(delivered)} delivered, ${figure(refused)} refused${left}`;
    const isWhole = refused + waiting === 0;
    say(isWhole ? `${name} delivered ${what}` : `${name} was given ${what}: ${became}`, true, { delivered, refused });
    if (refused === 0) return;
    throw failed(`${plural(refused, 'event')} refused`, `dead-letters list ${name} --by cause says why`);
  }
  say(`${whyStuck(connector)}; the replay continues by itself when it can`, false);
}

async function replayGroups(name: string, options: ReplayOptions): Promise<void> {
  const client = adminClient(options);
  const { groups } = await client.ask(groupCount, (api) =>
    api.connectors[':name'].replay.$post({ param: inPath('name', name), json: { from: 'groups' } }),
  );
  const say = (text: string, delivered: number, refused: number, done: boolean): void =>
    answer(options, { connector: name, groups, delivered, failed: refused, done }, text);
  if (!options.wait) return say(`writing ${plural(groups, 'group')} to ${name}`, 0, 0, false);
  const connector = await followGroups(client, name, groups, `writing groups to ${name}`);
  const { done = 0, failed: refused = 0, ended = false } = connector.restore ?? {};
  const brought = done - refused;
  if (!ended) return say(`${whyStuck(connector)}; the rest follows by itself when it can`, brought, refused, false);
  say(`wrote ${plural(brought, 'group')} to ${name}`, brought, refused, true);
  if (refused > 0) throw failed(`${plural(refused, 'group')} refused: the bridge’s log says why`);
}

/** Waits until all groups were brought to a connector, or compared with it, or until it stops delivering. */
export function followGroups(client: AdminClient, name: string, total: number, label: string, signal?: AbortSignal) {
  const seen = (connector: ConnectorStatus) => {
    const { done = 0, ended = false } = connector.restore ?? {};
    return { done, total, over: ended || !isDelivering(connector) };
  };
  return follow(label, () => client.connector(name), seen, signal);
}

/** Whether the connector makes progress by itself. */
export function isDelivering({ state }: ConnectorStatus): boolean {
  return state.kind === 'running' || state.kind === 'connecting';
}

function whyStuck({ name, state }: ConnectorStatus): string {
  return `${name} is ${state.kind}${state.kind === 'waiting' ? `: ${state.fault.message}` : ''}`;
}
