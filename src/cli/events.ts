/** The commands that show what was recorded, like the console's pages of events and groups. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import type { z } from 'zod';
import { eventAnswer, eventsAnswer, type eventsQuery, groupAnswer } from '../admin/contract.ts';
import { duration } from '../config/units.ts';
import { actorOf, EVENT_TYPES, type EventType, shortType } from '../model/event.ts';
import { BridgeError, describeFault } from '../model/fault.ts';
import { fieldsOf, type Group, latestEvent, operatorOf } from '../model/group.ts';
import type { EventCopy } from '../model/standing.ts';
import { figure, truncate } from '../model/text.ts';
import { type AdminClient, adminClient, inPath } from './admin.ts';
import { type AdminOptions, addCommand, isoTime, onRunningBridge, wholeNumber } from './options.ts';
import { answer, interruption, paint, print, tableLines, write } from './terminal.ts';

type Filters = Omit<z.output<typeof eventsQuery>, 'limit' | 'before'>;

interface ListOptions extends AdminOptions, Filters {
  readonly before?: number;
  readonly limit: number;
}

type Entry = z.output<typeof eventsAnswer>['events'][number];

export function addEvents(program: Command): void {
  const calls = ['events --group @TGS#2J4SZEAEL --field notification', 'events --operator reconcile --since 1d --json'];
  onRunningBridge(
    filtered(addCommand(program, 'events', 'list recorded events, newest first', ...calls))
      .option('--since <time>', 'received at or after this time: 2026-11-27T04:00Z, or an age such as 2h', moment)
      .option('--until <time>', 'received before this time', moment)
      .option('--before <seq>', 'recorded before this one', wholeNumber(1))
      .option('--limit <number>', 'maximum number', wholeNumber(1), 100),
  ).action(list);
  onRunningBridge(addCommand(program, 'event', 'follow one event to each copy', 'event 01m0zk9q8ymvq2n3r0w1t5h6bc'))
    .argument('<id>', 'its id, its seq, or the RequestID of its callback')
    .action(showEvent);
  onRunningBridge(
    filtered(addCommand(program, 'tail', 'print events as they are recorded, until Ctrl-C', 'tail', 'tail --json')),
  ).action(tail);
  onRunningBridge(
    addCommand(program, 'group', 'show a group: its state, its copies, its events', 'group @TGS#2J4SZEAEL'),
  )
    .argument('<id>', 'its id')
    .action(showGroup);
}

function filtered(command: Command): Command {
  return command
    .option('--group <id>', 'only of the group with this id, or of groups whose id contains it')
    .option('--type <type>', `only of this type, such as owner.changed`, eventType)
    .option('--operator <who>', 'only by this operator; reconcile for what reconcile found')
    .option('--field <field>', 'only with this field, such as notification or customFields.level');
}

function eventType(text: string): EventType {
  const found = EVENT_TYPES.find((type) => type === text || shortType(type) === text);
  if (found !== undefined) return found;
  throw new InvalidArgumentError(`one of these is expected: ${EVENT_TYPES.map(shortType).join(', ')}`);
}

function moment(text: string): number {
  const age = duration.safeParse(text);
  if (age.success) return Math.max(0, Date.now() - age.data);
  const time = isoTime(text);
  if (time !== undefined) return time;
  throw new InvalidArgumentError('a time is expected, such as 2026-11-27T04:00Z, or an age, such as 2h');
}

function queryOf({ group, type, operator, field, since, until, after }: Filters, limit: number, before?: number) {
  const given = Object.entries({ group, type, operator, field, since, until, after, before, limit });
  return Object.fromEntries(given.flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])));
}

/** Yields matching events, newest first. */
async function* eventsOf(client: AdminClient, filters: Filters, start?: number): AsyncGenerator<Entry> {
  let before = start;
  do {
    const query = queryOf(filters, 1_000, before);
    const page: z.output<typeof eventsAnswer> = await client.ask(eventsAnswer, (api) => api.events.$get({ query }));
    yield* page.events;
    before = page.next;
  } while (before !== undefined);
}

async function list({ limit, before, ...options }: ListOptions): Promise<void> {
  const client = adminClient(options);
  const events: Entry[] = [];
  let more = false;
  for await (const entry of eventsOf(client, options, before)) {
    more = events.length === limit;
    if (more) break;
    events.push(entry);
  }
  const last = events.at(-1)?.seq;
  const total = more ? await totalOf(client, options) : undefined;
  const of = total === undefined ? '' : ` of ${figure(total)}`;
  answer(
    options,
    { events, ...(more && { next: last }) },
    last === undefined ? 'no such event is in the journal' : eventLines(events),
    more && `${figure(limit)}${of}; more: --before ${last}`,
  );
}

/** Resolves with the number of events; undefined if they are filtered, or too many to count. */
async function totalOf(client: AdminClient, filters: Filters): Promise<number | undefined> {
  const query = queryOf(filters, 1);
  return (await client.ask(eventsAnswer, (api) => api.events.$get({ query }))).total;
}

const eventLines = (events: readonly Entry[]): string[] =>
  tableLines(['seq', 'occurred', 'event', 'group', 'by', 'fields'], events.map(cellsOf));

function cellsOf({ seq, event }: Entry): string[] {
  const { subject, time, type } = event;
  const fields = fieldsOf(event).filter(([field]) => !['groupType', 'destroyed'].includes(field));
  const told = fields
    .map(([field, text]) => `${field}=${JSON.stringify(text.length <= 40 ? text : `${truncate(text, 40)}…`)}`)
    .join(' ');
  return [String(seq), time, shortType(type), subject, actorOf(event) ?? '', told];
}

const EVERY_MS = 500;

async function tail(options: AdminOptions & Filters): Promise<void> {
  const client = adminClient(options);
  const signal = interruption();
  const [newest] = (await client.ask(eventsAnswer, (api) => api.events.$get({ query: { limit: '1' } }))).events;
  let after = newest?.seq ?? 0;
  let away = false;
  while (!signal.aborted) {
    try {
      const events: Entry[] = [];
      for await (const entry of eventsOf(client, { ...options, after })) events.push(entry);
      for (const entry of events.reverse()) {
        print(options.json ? JSON.stringify(entry) : cellsOf(entry).join('  ').replaceAll('\n', '\\u000a'));
        after = entry.seq;
      }
      away = false;
    } catch (thrown) {
      // The bridge may only be restarting.
      if (!(thrown instanceof BridgeError) || thrown.fault.code !== 'bridge-unreachable') throw thrown;
      if (!away) write(process.stderr, `${describeFault(thrown.fault)}\n`);
      away = true;
    }
    await delay(EVERY_MS, undefined, { signal }).catch(() => {});
  }
}

async function showEvent(id: string, options: AdminOptions): Promise<void> {
  const param = inPath('id', id);
  const found = await adminClient(options).ask(eventAnswer, (api) => api.events[':id'].$get({ param }));
  const { seq, event, copies } = found;
  const { receivedAt, origin } = event.data;
  const about = [
    ['id', event.id],
    ['seq', String(seq)],
    ['event', event.type],
    ['group', event.subject],
    ['by', actorOf(event) ?? 'not stated'],
    ['occurred', event.time],
    ['received', new Date(receivedAt).toISOString()],
    ...(origin.requestId === undefined ? [] : [['RequestID', origin.requestId]]),
    ...fieldsOf(event).map(([field, text]) => [field, JSON.stringify(text)]),
  ];
  const rows = copies.map((copy) => [copy.connector, copy.standing, ...placeOf(copy)]);
  answer(options, found, tableLines(['', ''], about).slice(1), '', tableLines(COPY_HEADS, rows));
}

const COPY_HEADS = ['copy', 'status', 'where', 'when', 'attempts', 'why'];

function placeOf({ standing, where, at, attempts, fault }: EventCopy): string[] {
  const isThere = standing === 'delivered' || standing === 'superseded';
  return [
    where ?? (isThere ? 'not known' : ''),
    at === undefined ? '' : new Date(at).toISOString(),
    attempts === undefined ? '' : String(attempts),
    fault === undefined ? '' : describeFault(fault),
  ];
}

/** Returns the author of a group's latest change, as far as its state or `events` tell. */
export function lastBy(group: Group, events: readonly Entry[] = []): string {
  const latest = events.find(({ event }) => event.id === latestEvent(group));
  return operatorOf(group) ?? (latest === undefined ? '' : (actorOf(latest.event) ?? ''));
}

async function showGroup(id: string, options: AdminOptions): Promise<void> {
  const found = await adminClient(options).ask(groupAnswer, (api) => api.group.$get({ query: { id } }));
  const { group, copies, events } = found;
  const { groupId, customFields, destroyed, updatedAt, versions: _, lastOperator: __, source: ___, ...fields } = group;
  const custom = Object.entries(customFields).map(([key, text]) => [`customFields.${key}`, text]);
  const about = [
    ['group', groupId + (destroyed ? ' (destroyed)' : '')],
    ...[...Object.entries(fields), ...custom].map(([field = '', text]) => [field, JSON.stringify(text)]),
    ['last changed', updatedAt ?? ''],
    ['by', lastBy(group, events)],
  ];
  const rows = copies.map(({ connector, standing, where, differs = [], fault }) => [
    connector,
    standing,
    where ?? '',
    [...differs, ...(fault === undefined ? [] : [describeFault(fault)])].join(', '),
  ]);
  const styleOf = (row: number) => (copies[row]?.standing === 'in-step' ? undefined : ('yellow' as const));
  answer(
    options,
    found,
    tableLines(['', ''], about).slice(1),
    '',
    tableLines(['copy', 'status', 'where', 'differs in, or why'], rows, styleOf),
    '',
    events.length > 0 ? eventLines(events) : paint('yellow', 'all its events were pruned: the merged state is kept'),
  );
}
