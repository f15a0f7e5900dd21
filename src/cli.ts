#!/usr/bin/env node
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError, Option } from 'commander';
import { ZodError } from 'zod';
import { check } from './cli/check.ts';
import { DEFAULT_FILE, requireConfig } from './cli/configuration.ts';
import { demo } from './cli/demo.ts';
import { addExamples } from './cli/examples.ts';
import { discardLetters, listLetters, retryLetters, showLetter, workerOptions } from './cli/letters.ts';
import {
  discardDeadLetters,
  discardQuarantine,
  listDeadLetters,
  listQuarantine,
  parseFrom,
  pause,
  reload,
  replay,
  resume,
  retryDeadLetters,
  retryQuarantine,
  showDeadLetter,
} from './cli/operate.ts';
import { reconcile } from './cli/reconcile.ts';
import { describeSchema, SCHEMAS } from './cli/schema.ts';
import { sendSamples } from './cli/send.ts';
import { start } from './cli/start.ts';
import { print, visible } from './cli/terminal.ts';
import { showStatus } from './cli/watch.ts';
import { BridgeError, describeFault, exitCode, messageOf } from './model/fault.ts';
import { nearest } from './model/text.ts';

const configOption = new Option('--config <file>', `the configuration (default: ${DEFAULT_FILE})`);

function version(): string {
  const up = import.meta.url.endsWith('.ts') ? '../package.json' : '../../package.json';
  return (JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8')) as { version: string }).version;
}

function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    if (!/^\d+$/.test(text) || Number(text) < least)
      throw new InvalidArgumentError(`a whole number from ${least} is expected`);
    return Number(text);
  };
}

function httpUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new InvalidArgumentError('a URL is expected, such as http://127.0.0.1:8080/callback');
  }
  return url;
}

function replayFrom(text: string): NonNullable<ReturnType<typeof parseFrom>> {
  const from = parseFrom(text);
  if (from === undefined)
    throw new InvalidArgumentError('beginning, groups, a seq, or a time such as 2026-01-31T12:00:00Z is expected');
  return from;
}

/** commander hands over one value after the other, with what it has so far. */
function seqList(text: string, before: number[] | undefined): number[] {
  return [...(before ?? []), wholeNumber(1)(text)];
}

/** A dead letter of a bridge is named by its seq, one of a worker by partition and offset, such as 3@1042. */
function letterName(text: string): string {
  if (/^\d+@\d+$/.test(text)) return text;
  return String(wholeNumber(1)(text));
}

function letterNames(text: string, before: string[] | undefined): string[] {
  return [...(before ?? []), letterName(text)];
}

function toSeqs(names: readonly string[]): number[] {
  return names.map((name) => {
    if (!name.includes('@')) return Number(name);
    throw new BridgeError({ code: 'usage', message: `${name} names a letter of a worker, and this is a bridge` });
  });
}

/** Exported for the documentation of the commands. */
export const program = new Command('group-sync-bridge')
  .description('Keeps other systems’ copies of Tencent Cloud Chat group info in sync.')
  .version(version())
  .showHelpAfterError('(add --help for what there is)')
  .exitOverride();

program
  .command('start')
  .description('receive callbacks and deliver them until SIGTERM')
  .addOption(configOption)
  .action(({ config }: { config?: string }) => start(config, version()));

program
  .command('check')
  .description('read the configuration and name every problem in it')
  .addOption(configOption)
  .option('--connect', 'also examine every enabled connector: reached, let in, topic or index, permission to write')
  .option('--self-test', 'also send a signed sample callback through a bridge of its own, apart from your connectors')
  .option('--json', 'print the result as JSON')
  .action(check);

program
  .command('send')
  .description('post made-up callbacks to a running bridge')
  .addOption(configOption)
  .option('--to <url>', 'where to (default: the receiver of the configuration, on this machine)', httpUrl)
  .option('--count <n>', 'how many', wholeNumber(1), 10)
  .option('--rate <n>', 'how many a second, 0 for as fast as they are answered', wholeNumber(0), 0)
  .option('--groups <n>', 'over how many groups', wholeNumber(1), 100)
  .option('--connections <n>', 'how many at once', wholeNumber(1), 16)
  .option('--json', 'print the result as JSON')
  .action((options: Parameters<typeof sendSamples>[1] & { config?: string }) =>
    sendSamples(requireConfig(options.config).config, options),
  );

function onRunningBridge(command: Command): Command {
  return command
    .addOption(configOption)
    .option('--admin <url>', 'its admin address (default: that of the configuration)', httpUrl)
    .option('--json', 'print JSON');
}

onRunningBridge(
  program
    .command('status')
    .description('show a running bridge: its journal and how far each connector is')
    .option('--watch', 'again each second, with what happens per second, until Ctrl-C'),
).action(showStatus);

onRunningBridge(
  program
    .command('reload')
    .description('have the running bridge read its configuration again and take over what changed')
    .addHelpText('after', '\nSIGHUP does the same. A file with problems changes nothing.'),
).action(reload);

onRunningBridge(
  program
    .command('pause')
    .description('stop delivering to a connector; callbacks go on being recorded')
    .argument('<name>'),
).action(pause);

onRunningBridge(program.command('resume').description('go on delivering to a connector').argument('<name>')).action(
  resume,
);

onRunningBridge(
  program
    .command('replay')
    .description('deliver recorded events to a connector again; copies converge, so it is safe at any time')
    .argument('<name>')
    .requiredOption(
      '--from <where>',
      'beginning, a seq, a time such as 2026-01-31T12:00:00Z, or groups: the merged state of every group',
      replayFrom,
    )
    .option('--no-wait', 'return at once'),
).action(replay);

onRunningBridge(
  program
    .command('reconcile')
    .description('read groups by the vendor’s REST API and mend what the callbacks missed')
    .option('--group <id...>', 'only these groups')
    .option('--dry-run', 'say what would be mended, and mend nothing')
    .option('--against <name>', 'also compare the copy of this connector with the journal, and mend it')
    .addHelpText(
      'after',
      '\nGoes through the running bridge or, when there is none, by itself. A run that was stopped goes on where it stopped.',
    ),
).action(reconcile);

const deadLetters = program.command('dead-letters').description('events that a destination refused for good');
onRunningBridge(deadLetters.command('list').description('list them').argument('<name>'))
  .option('--limit <n>', 'at most so many', wholeNumber(1), 100)
  .action((name: string, options: Parameters<typeof listDeadLetters>[1]) => {
    const worker = workerOptions(options);
    return worker === undefined ? listDeadLetters(name, options) : listLetters(name, { ...options, ...worker });
  });
onRunningBridge(
  deadLetters
    .command('show')
    .description('show one whole')
    .argument('<name>')
    .argument('<seq>', 'its seq; of a worker its partition and offset, such as 3@1042', letterName),
).action((name: string, which: string, options: Parameters<typeof showDeadLetter>[2]) => {
  const worker = workerOptions(options);
  if (worker !== undefined) return showLetter(name, which, worker);
  return showDeadLetter(name, toSeqs([which])[0] ?? 0, options);
});
onRunningBridge(
  deadLetters
    .command('retry')
    .description('try them again, all unless some are named')
    .argument('<name>')
    .argument('[seqs...]', 'by seq; of a worker by partition and offset', letterNames),
).action((name: string, which: string[] = [], options: Parameters<typeof retryDeadLetters>[2]) => {
  const worker = workerOptions(options);
  if (worker !== undefined) return retryLetters(name, which, worker);
  return retryDeadLetters(name, toSeqs(which), options);
});
onRunningBridge(
  deadLetters
    .command('discard')
    .description('give them up for good')
    .argument('<name>')
    .argument('[seqs...]', 'by seq; of a worker by partition and offset', letterNames),
)
  .option('--all', 'all of them', false)
  .action((name: string, which: string[] = [], options: Parameters<typeof discardDeadLetters>[2]) => {
    const worker = workerOptions(options);
    if (worker !== undefined) return discardLetters(name, which, { ...options, ...worker });
    return discardDeadLetters(name, toSeqs(which), options);
  });

const quarantine = program.command('quarantine').description('verified callbacks that could not be mapped');
onRunningBridge(quarantine.command('list').description('list them')).action(listQuarantine);
onRunningBridge(quarantine.command('retry').description('map them once more')).action(retryQuarantine);
onRunningBridge(
  quarantine.command('discard').description('give them up for good').argument('[ids...]', 'by id', seqList),
)
  .option('--all', 'all of them', false)
  .action((ids: number[] | undefined, options) => discardQuarantine(ids ?? [], options));

program
  .command('schema')
  .description(
    'print the JSON Schema of the event, the group or the configuration, or the AsyncAPI document of the topics',
  )
  .argument('<name>', SCHEMAS.join(', '), (name: string) => {
    const known = SCHEMAS.find((one) => one === name);
    if (known === undefined) {
      const near = nearest(name, SCHEMAS);
      throw new InvalidArgumentError(
        `one of ${SCHEMAS.join(', ')} is expected${near === undefined ? '' : `\n(Did you mean ${near}?)`}`,
      );
    }
    return known;
  })
  .option('--config <file>', 'of asyncapi: describe the topics of this configuration instead of the default ones')
  .action((name: (typeof SCHEMAS)[number], { config }: { config?: string }) =>
    print(JSON.stringify(describeSchema(name, version(), config), null, 2)),
  );

program
  .command('demo')
  .description('start a real Kafka and Elasticsearch, send callbacks through the bridge and show what arrived')
  .option('--count <n>', 'how many callbacks beside the documented sample', wholeNumber(1), 1000)
  .option('--keep', 'leave everything running until Ctrl-C')
  .action(demo);

addExamples(program);

async function main(): Promise<number> {
  try {
    await program.parseAsync();
    return 0;
  } catch (thrown) {
    // commander has said it already; its own code for --help and --version is 0.
    if (thrown instanceof Error && thrown.name === 'CommanderError')
      return (thrown as { exitCode?: number }).exitCode === 0 ? 0 : 2;
    if (thrown instanceof ZodError) {
      process.stderr.write(`the bridge answers in another way than this command expects: is it of another version?\n`);
      return 1;
    }
    if (!(thrown instanceof BridgeError)) {
      process.stderr.write(`${visible(messageOf(thrown))}\n`);
      return 1;
    }
    process.stderr.write(`${visible(describeFault(thrown.fault))}\n`);
    return exitCode(thrown.fault.code);
  }
}

/** Not so where another file imports this one for its commands. */
function isRun(): boolean {
  const [, named = ''] = process.argv;
  const own = fileURLToPath(import.meta.url);
  // By npm's link to it or without its extension, too.
  return [named, `${named}.js`].some((file) => existsSync(file) && realpathSync(file) === own);
}

if (isRun()) {
  // kafkajs sets timers in the past, harmlessly, and Node 24 would say so each time; Node 22 calls its SQLite experimental.
  process.removeAllListeners('warning');
  process.on('warning', (warning) => {
    if (!['TimeoutNegativeWarning', 'ExperimentalWarning'].includes(warning.name))
      process.stderr.write(`${warning.name}: ${warning.message}\n`);
  });

  // `… | head` closes the pipe: nobody reads on, and that is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });

  process.exitCode = await main();
}
