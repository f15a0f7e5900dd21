import { openSink } from '../../connectors/index.ts';
import { systemClock } from '../canon/clock.ts';
import { BridgeError, describeFault, faultOf } from '../canon/fault.ts';
import type { ConnectorConfig } from '../config/schema.ts';
import { requireConfig } from './configuration.ts';
import { paint, print } from './terminal.ts';

const CONNECT_MS = 15_000;

/** Reads the configuration and says what it means; with `connect` also opens every enabled connector. */
export async function check(configName: string | undefined, connect: boolean): Promise<void> {
  const { file, config } = requireConfig(configName);
  print(`${file}: ${paint('green', 'valid')}`);
  const { host, port, path } = config.receiver;
  print(`  callbacks of SDKAppID ${config.app.sdkAppId} at ${host}:${port}${path}, journal in ${config.journal.file}`);
  if (config.app.callbackTokens === undefined) {
    print(
      `  ${paint('yellow', 'no app.callbackTokens')}: whoever reaches this port and knows the SDKAppID can send callbacks`,
    );
  }
  if (config.receiver.otherCommands === 'acknowledge') {
    print('  callbacks of other commands are answered OK and not kept; "before" commands are refused');
  }
  let failed = 0;
  for (const [name, connector] of Object.entries(config.connectors)) {
    const fault = connector.enabled && connect ? await tryOut(name, connector) : undefined;
    const state = !connector.enabled ? paint('dim', 'disabled') : !connect ? 'enabled' : paint('green', 'reached');
    print(`  ${name} (${connector.kind}): ${fault === undefined ? state : paint('red', describeFault(fault))}`);
    if (fault !== undefined) failed++;
  }
  if (failed > 0) {
    throw new BridgeError({
      code: 'destination-unreachable',
      message: `${failed} of the connectors cannot be used as configured`,
    });
  }
}

async function tryOut(name: string, connector: ConnectorConfig) {
  const signal = AbortSignal.timeout(CONNECT_MS);
  const note = (message: string): void => print(`  ${name}: ${message}`);
  try {
    const sink = await openSink(
      connector.kind,
      connector,
      { name, clock: systemClock, group: () => undefined, note },
      signal,
    );
    try {
      await sink.check(signal);
    } finally {
      await sink.close();
    }
    return undefined;
  } catch (thrown) {
    return faultOf(thrown, 'destination-unreachable');
  }
}
