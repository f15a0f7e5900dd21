import { setFlagsFromString } from 'node:v8';
import { startBridge } from '../bridge.ts';
import { openTo, requireConfig } from './configuration.ts';
import { commandLine, paint, print } from './terminal.ts';

/** V8 then lets its heaps grow more slowly; set before either thread has one to speak of. It holds for both. */
setFlagsFromString('--optimize-for-size');

/** Runs until SIGTERM or SIGINT; a second signal ends at once. */
export async function start(configName: string | undefined, version: string): Promise<void> {
  const { file, config } = requireConfig(configName);
  const bridge = await startBridge(config);

  print(`${paint('bold', `group-sync-bridge ${version}`)} runs on ${file}`);
  print(
    `  callbacks   ${bridge.receiverUrl} (SDKAppID ${config.app.sdkAppId}${config.app.callbackTokens ? ', signed' : ''})`,
  );
  for (const name of bridge.connectors) print(`  connector   ${name} (${config.connectors[name]?.kind})`);
  print(`  journal     ${config.journal.file}`);
  print(`  admin       ${bridge.adminUrl}/readyz /metrics, ${openTo(config.admin)}`);
  const named = configName === undefined ? '' : ` --config ${configName}`;
  print(`  try         ${commandLine(`send --count 10${named}`)}`);

  await new Promise<void>((resolve, reject) => {
    let told = false;
    const onSignal = (name: NodeJS.Signals): void => {
      if (told) process.exit(1);
      told = true;
      bridge.stop(name).then(resolve, reject);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}
