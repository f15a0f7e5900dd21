import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { type Command, Option } from 'commander';
import { source as sourceKind } from '../../connectors/index.ts';
import type { Bridge } from '../bridge.ts';
import { opennessOf } from '../config/listeners.ts';
import { loadConfig } from '../config/load.ts';
import type { Config, Source } from '../config/schema.ts';
import { GROUP_INFO_CHANGED } from '../intake/commands.ts';
import { messageOf, whereThrown } from '../model/fault.ts';
import { createLogger, type LogFormat } from '../telemetry/log.ts';
import { commandLine, shellWord, version } from './installation.ts';
import { addCommand, configOption, openTo, reachable, requireConfig } from './options.ts';
import { interruption, type Lines, paint, print } from './terminal.ts';

/** Lets heaps grow to twice, not four times, what a garbage collection left; for both threads. */
setFlagsFromString('--heap-growing-percent=100');

export function addStart(program: Command): void {
  const description = 'receive callbacks and deliver them until SIGTERM';
  addCommand(program, 'start', description, 'start --config config/kafka-elasticsearch.yaml')
    .addOption(configOption)
    .addOption(
      new Option(
        '--log <format>',
        'format on standard error: text, one line per callback, or json; text on a terminal',
      ).choices(['text', 'json']),
    )
    .action(start);
}

interface StartOptions {
  readonly config?: string;
  readonly log?: LogFormat;
}

/** How long handles that a hanging server left open may keep the process after everything has stopped. */
const LEFT_MS = 1_000;

/** Runs until SIGTERM or SIGINT; a second signal ends at once. */
async function start({ config: named, log = process.stderr.isTTY ? 'text' : 'json' }: StartOptions): Promise<void> {
  // The first process of a container ignores signals until somebody listens.
  const told = interruption();
  process.once('uncaughtException', (thrown) => {
    const why = messageOf(thrown) + whereThrown(thrown);
    createLogger('info', log).error({ code: 'internal', stack: thrown?.stack }, `the process ends: ${why}`);
    process.exit(1);
  });
  const { file, config } = await requireConfig(named);
  // A bridge must go on if the reader of these lines goes away, or their disk is full.
  process.stdout.removeAllListeners('error').on('error', () => {});
  const again = named === undefined ? '' : ` --config ${shellWord(named)}`;
  const { source } = config;
  const running = source === undefined ? receive(file, config, again, log) : work(file, config, source, again, log);
  const { stop } = await running;
  if (!told.aborted) await once(told, 'abort');
  await stop(told.reason);
  setTimeout(() => process.exit(), LEFT_MS).unref();
}

/** Starts a bridge; SIGHUP reloads its file. */
async function receive(file: string, config: Config, again: string, log: LogFormat): Promise<Bridge> {
  const options = { version: version(), source: { file, load: () => loadConfig(file, process.env) }, log };
  const starting = import('../bridge.ts').then(({ startBridge }) => startBridge(config, 'info', options));
  // A SIGHUP without a listener would end the process. The log tells the result of the reload.
  process.on('SIGHUP', () => void starting.then((bridge) => bridge.reload()).catch(() => {}));
  const bridge = await starting;
  const { app, connectors, journal, admin } = config;
  const open = opennessOf(config);
  print(
    `${paint('bold', `group-sync-bridge ${version()}`)} runs on ${file}`,
    `  callbacks   ${bridge.receiverUrl} (SDKAppID ${app.sdkAppId}${app.callbackTokens ? ', signed' : ''})`,
    bridge.connectors.map((name) => `  connector   ${name} (${connectors[name]?.kind})`),
    `  journal     ${journal.file}`,
    open !== undefined && `  ${paint('yellow', 'warning')}     ${open}`,
    `  console     ${bridge.adminUrl}/ (also /readyz and /metrics), ${openTo(admin)}`,
    `  try         ${commandLine(`send --count 10${again}`)}`,
    curlLine(config, bridge.receiverUrl),
  );
  return bridge;
}

/** Returns a callback to send with curl; none if it must be signed. */
function curlLine({ app, receiver }: Config, receiverUrl: string): Lines {
  if (app.callbackTokens !== undefined || receiver.tls !== undefined) return undefined;
  const { port, pathname } = new URL(receiverUrl);
  const to = `http://${reachable(receiver.host)}:${port}${pathname}`;
  const query = new URLSearchParams({ SdkAppid: app.sdkAppId, CallbackCommand: GROUP_INFO_CHANGED });
  const body = {
    CallbackCommand: GROUP_INFO_CHANGED,
    GroupId: '@TGS#2J4SZEAEL',
    Type: 'Public',
    Name: 'MyFirstGroup',
  };
  return `  or          curl ${shellWord(`${to}?${query}`)} -d ${shellWord(JSON.stringify(body))}`;
}

/** Starts a worker. It ignores SIGHUP: a changed file needs a restart, while other workers take its partitions. */
async function work(file: string, config: Config, source: Source, again: string, log: LogFormat) {
  process.on('SIGHUP', () => {});
  const { startWorker } = await import('../worker/process.ts');
  const worker = await startWorker(config, source, 'info', version(), log);
  const { topic, groupId, deadLetters } = sourceKind.describe(source);
  print(
    `${paint('bold', `group-sync-bridge ${version()}`)} works on ${file}`,
    `  source      ${topic}, as a member of ${groupId}`,
    worker.connectors.map((name) => `  connector   ${name} (${config.connectors[name]?.kind})`),
    `  dead        ${deadLetters}`,
    `  admin       ${worker.adminUrl}/readyz /metrics, ${openTo(config.admin)}`,
    `  try         ${commandLine(`status${again}`)}`,
  );
  return worker;
}
