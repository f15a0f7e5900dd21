#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { BridgeError, describeFault, exitCode, messageOf } from './canon/fault.ts';
import { check } from './cli/check.ts';
import { DEFAULT_FILE, requireConfig } from './cli/configuration.ts';
import { demo } from './cli/demo.ts';
import { jsonSchema, SCHEMAS } from './cli/schema.ts';
import { sendSamples } from './cli/send.ts';
import { start } from './cli/start.ts';
import { print } from './cli/terminal.ts';

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

const program = new Command('group-sync-bridge')
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
  .option('--connect', 'also try to reach every enabled connector')
  .action(({ config, connect }: { config?: string; connect?: boolean }) => check(config, connect === true));

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

program
  .command('schema')
  .description('print the JSON Schema of the canonical event, the group or the configuration')
  .argument('<name>', SCHEMAS.join(', '), (name: string) => {
    const known = SCHEMAS.find((one) => one === name);
    if (known === undefined) throw new InvalidArgumentError(`one of ${SCHEMAS.join(', ')} is expected`);
    return known;
  })
  .action((name: (typeof SCHEMAS)[number]) => print(JSON.stringify(jsonSchema(name), null, 2)));

program
  .command('demo')
  .description('start a real Kafka and Elasticsearch, send callbacks through the bridge and show what arrived')
  .option('--count <n>', 'how many callbacks beside the documented sample', wholeNumber(1), 1000)
  .option('--keep', 'leave everything running until Ctrl-C')
  .action(demo);

async function main(): Promise<number> {
  try {
    await program.parseAsync();
    return 0;
  } catch (thrown) {
    // commander has said it already; its own code for --help and --version is 0.
    if (thrown instanceof Error && thrown.name === 'CommanderError')
      return (thrown as { exitCode?: number }).exitCode === 0 ? 0 : 2;
    if (!(thrown instanceof BridgeError)) {
      process.stderr.write(`${messageOf(thrown)}\n`);
      return 1;
    }
    process.stderr.write(`${describeFault(thrown.fault)}\n`);
    return exitCode(thrown.fault.code);
  }
}

// kafkajs sets timers in the past, harmlessly, and Node 24 would say so on standard error each time.
process.removeAllListeners('warning');
process.on('warning', (warning) => {
  if (warning.name !== 'TimeoutNegativeWarning') process.stderr.write(`${warning.name}: ${warning.message}\n`);
});

process.exitCode = await main();
