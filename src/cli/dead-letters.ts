/** `dead-letters`: the same commands for those in a bridge's journal and in a worker's topic. */
import { type Command, Option } from 'commander';
import { figure, plural } from '../model/text.ts';
import { type Cause, type DeadLetter, type Filter, withDeadLetters } from './dead-letter-stores.ts';
import { type AdminOptions, addCommand, listOf, missingOf, misused, onRunningBridge, wholeNumber } from './options.ts';
import { answer, print, tableLines } from './terminal.ts';

export function addDeadLetters(program: Command): void {
  const parent = program.command('dead-letters').description('events that a destination refused for good');
  const command = (name: string, description: string, ...calls: string[]): Command => {
    const whole = calls.map((call) => `dead-letters ${name} ${call}`);
    return onRunningBridge(addCommand(parent, `${name} <name>`, description, ...whole));
  };
  const named = 'by seq; for a worker by partition and offset';
  const filtered = (made: Command): Command =>
    made
      .option('--cause <id>', 'only those of one cause, as shown by `list --by cause`')
      .option('--group <id>', 'only those of one group');
  filtered(command('list', 'list them', 'group-index --limit 20', 'group-index --by cause'))
    .option('--limit <n>', 'maximum number', wholeNumber(1), 100)
    .addOption(new Option('--by <what>', 'one line per cause').choices(['cause']).conflicts(['cause', 'group']))
    .action(list);
  filtered(command('export', 'print them as JSON, one per line', 'group-index --cause 4f0c1d2e3a5b')).action(exportAll);
  command('show', 'show one in full', 'group-index 1042')
    .argument('<seq>', 'its seq; for a worker its partition and offset, such as 3@1042', parseName)
    .action(show);
  filtered(command('retry', 'retry them, all unless some are named', 'group-index', 'group-index 1042 1043'))
    .argument('[seqs...]', named, listOf(parseName))
    .action(retry);
  filtered(command('discard', 'discard them for good', 'group-index 1042', 'group-index --all'))
    .argument('[seqs...]', named, listOf(parseName))
    .option('--all', 'all of them', false)
    .action(discard);
}

function parseName(text: string): string {
  return /^([\w.-]+\/)?\d+@\d+$/.test(text) ? text : String(wholeNumber(1)(text));
}

interface ListOptions extends AdminOptions, Filter {
  readonly limit: number;
  readonly by?: string;
}

function list(connector: string, options: ListOptions): Promise<void> {
  return withDeadLetters(connector, options, async (deadLetters) => {
    if (options.by !== undefined) return listCauses(connector, await deadLetters.causes(), options);
    const { limit, cause, group } = options;
    const found: DeadLetter[] = [];
    for await (const letter of deadLetters.letters(options, limit)) {
      found.push(letter);
      if (found.length === limit) break;
    }
    const alike = cause === undefined ? [] : (await deadLetters.causes()).filter((one) => one.cause === cause);
    const all = await deadLetters.count();
    const total = cause === undefined ? all : alike.reduce((sum, { count }) => sum + count, 0);
    const rows = found.map(({ name, deadAt, groupId, attempts, fault }) => [
      name,
      new Date(deadAt).toISOString(),
      groupId,
      String(attempts),
      fault.message,
    ]);
    const heads = [deadLetters.naming, 'given up at', 'group', 'attempts', 'reason'];
    // The dead letters of a group are not counted.
    const isWhole = found.length >= total || (group !== undefined && found.length < limit);
    const shown =
      group === undefined ? `${figure(found.length)} of ${figure(total)}` : `the first ${figure(found.length)}`;
    const rest = !isWhole && `${shown}: raise --limit, or use --by cause`;
    const none = `${connector} has no ${all > 0 ? 'such ' : ''}dead letters`;
    const lines = rows.length === 0 ? none : [tableLines(heads, rows), rest];
    answer(options, { deadLetters: found.map(({ json }) => json) }, lines);
  });
}

function listCauses(connector: string, causes: readonly Cause[], options: AdminOptions): void {
  const time = (ms: number): string => new Date(ms).toISOString();
  const rows = causes.map(({ cause, count, firstAt, lastAt, code, reason }) => [
    cause,
    figure(count),
    time(firstAt),
    time(lastAt),
    `${code}: ${reason}`,
  ]);
  const heads = ['cause', 'letters', 'first', 'last', 'reason'];
  answer(options, causes, rows.length === 0 ? `${connector} has no dead letters` : tableLines(heads, rows));
}

const EXPORT_PORTION = 500;

function exportAll(connector: string, options: AdminOptions & Filter): Promise<void> {
  return withDeadLetters(connector, options, async (deadLetters) => {
    for await (const { json } of deadLetters.letters(options, EXPORT_PORTION)) print(JSON.stringify(json));
  });
}

function show(connector: string, which: string, options: AdminOptions): Promise<void> {
  return withDeadLetters(connector, options, async (deadLetters) => {
    const { name, origin, deadAt, attempts, fault, content, json } = await deadLetters.show(which);
    const lines: (readonly [label: string, text: string])[] = [
      [deadLetters.naming, origin === undefined ? name : `${name}, ${origin}`],
      ['given up', `${new Date(deadAt).toISOString()}, after ${plural(attempts, 'attempt')}`],
      ['reason', fault.message],
      ...(fault.suggestion === undefined ? [] : [['what to do', fault.suggestion] as const]),
      ...content,
    ];
    answer(options, json, ...lines.map(([label, text]) => `${label.padEnd(10)} ${text}`));
  });
}

function retry(connector: string, names: readonly string[] = [], options: AdminOptions & Filter): Promise<void> {
  return withDeadLetters(connector, options, async (deadLetters) => {
    const result = await deadLetters.retry(names, options);
    const { taken, left, delivered, refused } = result;
    const tried = `${connector} is retrying ${plural(taken, 'dead letter')}`;
    const open = taken - (delivered ?? 0) - (refused ?? 0);
    const known =
      delivered === undefined
        ? '; those refused again are listed again'
        : `: ${figure(delivered)} delivered, ${figure(refused ?? 0)} refused again${open > 0 ? `, ${figure(open)} pending` : ''}`;
    const isChosen = names.length > 0 || options.cause !== undefined || options.group !== undefined;
    const none = isChosen ? `${connector} has no such dead letter` : `${connector} has no dead letters`;
    // A worker refuses an unknown name instead.
    const missing = delivered === undefined ? 0 : new Set(names).size - taken - left;
    answer(options, result, taken === 0 ? none : tried + known + missingOf(missing));
    if (missing > 0 || (isChosen && taken === 0)) process.exitCode = 1;
  });
}

function discard(
  connector: string,
  names: readonly string[] = [],
  options: AdminOptions & Filter & { readonly all: boolean },
): Promise<void> {
  const isFiltered = options.cause !== undefined || options.group !== undefined;
  if (names.length > 0 ? options.all : !options.all && !isFiltered) {
    throw misused('name the dead letters, or use --all, not both: discarded events never reach this destination');
  }
  return withDeadLetters(connector, options, async (deadLetters) => {
    const { discarded } = await deadLetters.discard(names, options);
    const isChosen = names.length > 0 || isFiltered;
    const none = isChosen
      ? `nothing was discarded: ${connector} has no such dead letter`
      : `${connector} has no dead letters`;
    const missing = new Set(names).size - discarded;
    const said = `discarded ${plural(discarded, 'dead letter')} of ${connector}`;
    answer(options, { discarded }, discarded === 0 ? none : said + missingOf(missing));
    if (missing > 0 || (isChosen && discarded === 0)) process.exitCode = 1;
  });
}
