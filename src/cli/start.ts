import { setFlagsFromString } from 'node:v8';
import type { Command } from 'commander';
import { type Bridge, startBridge } from '../bridge.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { deadLetterTopic, type Source } from '../config/source.ts';
import { startWorker } from '../worker/process.ts';
import { openTo, requireConfig } from './configuration.ts';
import { commandLine, version } from './installation.ts';
import { configOption, examples } from './options.ts';
import { paint, print } from './terminal.ts';

/** Has V8 collect garbage when a heap has grown to twice, not four times, what was left; this holds for both threads. */
setFlagsFromString('--heap-growing-percent=100');

export function addStart(program: Command): void {
  program
    .command('start')
    .description('receive callbacks and deliver them until SIGTERM')
    .addOption(configOption)
    .addHelpText('after', examples('start --config config/kafka-elasticsearch.yaml'))
    .action(start);
}

/** Runs until SIGTERM or SIGINT; a second signal ends at once. SIGHUP has the file read again. */
async function start({ config: configName }: { config?: string }): Promise<void> {
  const { file, config } = requireConfig(configName);
  const named = configName === undefined ? '' : ` --config ${configName}`;
  if (config.source !== undefined) return startWorking(file, config, config.source, named);
  const source = { file, load: () => loadConfig(file, process.env) };
  const starting = Promise.withResolvers<Bridge>();
  // A SIGHUP that nobody listens to ends the process. The log says what came of the reload.
  process.on('SIGHUP', () => void starting.promise.then((bridge) => bridge.reload()).catch(() => {}));
  const bridge = await startBridge(config, 'info', { version: version(), source });
  starting.resolve(bridge);

  print(`${paint('bold', `group-sync-bridge ${version()}`)} runs on ${file}`);
  print(
    `  callbacks   ${bridge.receiverUrl} (SDKAppID ${config.app.sdkAppId}${config.app.callbackTokens ? ', signed' : ''})`,
  );
  for (const name of bridge.connectors) print(`  connector   ${name} (${config.connectors[name]?.kind})`);
  print(`  journal     ${config.journal.file}`);
  print(`  admin       ${bridge.adminUrl}/ (the console; also /readyz and /metrics), ${openTo(config.admin)}`);
  print(`  try         ${commandLine(`send --count 10${named}`)}`);

  await untilTold(bridge.stop);
}

/** Ignores SIGHUP: a worker takes a changed file at its next start, and others have its partitions meanwhile. */
async function startWorking(file: string, config: Config, source: Source, named: string): Promise<void> {
  process.on('SIGHUP', () => {});
  const worker = await startWorker(config, source, 'info', version());
  print(`${paint('bold', `group-sync-bridge ${version()}`)} works on ${file}`);
  print(`  source      ${source.topic}, as a member of ${source.groupId}`);
  for (const name of worker.connectors) print(`  connector   ${name} (${config.connectors[name]?.kind})`);
  print(`  dead        ${deadLetterTopic(source)}`);
  print(`  admin       ${worker.adminUrl}/readyz /metrics, ${openTo(config.admin)}`);
  print(`  try         ${commandLine(`status${named}`)}`);
  await untilTold(worker.stop);
}

function untilTold(stop: (reason: string) => Promise<void>): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    let told = false;
    const onSignal = (name: NodeJS.Signals): void => {
      if (told) process.exit(1);
      told = true;
      stop(name).then(resolve, reject);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}
