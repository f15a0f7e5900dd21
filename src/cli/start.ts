import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import type { Command } from 'commander';
import { type Bridge, startBridge } from '../bridge.ts';
import { opennessOf } from '../config/listeners.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { deadLetterTopic, type Source } from '../config/source.ts';
import { startWorker } from '../worker/process.ts';
import { commandLine, version } from './installation.ts';
import { addCommand, configOption, openTo, requireConfig } from './options.ts';
import { interruption, paint, print } from './terminal.ts';

/** Has V8 collect garbage when a heap has grown to twice, not four times, what was left; this holds for both threads. */
setFlagsFromString('--heap-growing-percent=100');

export function addStart(program: Command): void {
  const description = 'receive callbacks and deliver them until SIGTERM';
  addCommand(program, 'start', description, 'start --config config/kafka-elasticsearch.yaml')
    .addOption(configOption)
    .action(start);
}

/** Runs until SIGTERM or SIGINT; a second signal ends at once. */
async function start({ config: named }: { config?: string }): Promise<void> {
  const { file, config } = requireConfig(named);
  const again = named === undefined ? '' : ` --config ${named}`;
  const { source } = config;
  const running = source === undefined ? receive(file, config, again) : work(file, config, source, again);
  const { stop } = await running;
  const told = interruption();
  await once(told, 'abort');
  await stop(told.reason);
}

/** Starts a bridge; SIGHUP has it read its file again. */
async function receive(file: string, config: Config, again: string): Promise<Bridge> {
  const starting = Promise.withResolvers<Bridge>();
  // A SIGHUP that nobody listens to ends the process. The log says what came of the reload.
  process.on('SIGHUP', () => void starting.promise.then((bridge) => bridge.reload()).catch(() => {}));
  const source = { file, load: () => loadConfig(file, process.env) };
  const bridge = await startBridge(config, 'info', { version: version(), source });
  starting.resolve(bridge);
  const { app, connectors, journal, admin } = config;
  const open = opennessOf(config);
  print(
    `${paint('bold', `group-sync-bridge ${version()}`)} runs on ${file}`,
    `  callbacks   ${bridge.receiverUrl} (SDKAppID ${app.sdkAppId}${app.callbackTokens ? ', signed' : ''})`,
    ...bridge.connectors.map((name) => `  connector   ${name} (${connectors[name]?.kind})`),
    `  journal     ${journal.file}`,
    ...(open === undefined ? [] : [`  ${paint('yellow', 'warning')}     ${open}`]),
    `  admin       ${bridge.adminUrl}/ (the console; also /readyz and /metrics), ${openTo(admin)}`,
    `  try         ${commandLine(`send --count 10${again}`)}`,
  );
  return bridge;
}

/** Starts a worker; it takes a changed file at its next start, since others have its partitions meanwhile, so SIGHUP is ignored. */
async function work(file: string, config: Config, source: Source, again: string) {
  process.on('SIGHUP', () => {});
  const worker = await startWorker(config, source, 'info', version());
  print(
    `${paint('bold', `group-sync-bridge ${version()}`)} works on ${file}`,
    `  source      ${source.topic}, as a member of ${source.groupId}`,
    ...worker.connectors.map((name) => `  connector   ${name} (${config.connectors[name]?.kind})`),
    `  dead        ${deadLetterTopic(source)}`,
    `  admin       ${worker.adminUrl}/readyz /metrics, ${openTo(config.admin)}`,
    `  try         ${commandLine(`status${again}`)}`,
  );
  return worker;
}
