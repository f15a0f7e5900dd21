import { openSink } from '../../connectors/index.ts';
import { systemClock } from '../canon/clock.ts';
import { BridgeError, describeFault, faultOf } from '../canon/fault.ts';
import { type Config, type ConnectorConfig, isLoopback } from '../config/schema.ts';
import { readCertificate } from '../intake/certificate.ts';
import { openTo, requireConfig } from './configuration.ts';
import { paint, print } from './terminal.ts';

const CONNECT_MS = 15_000;

/** Reads the configuration and says what it means; with `connect` also opens every enabled connector. */
export async function check(configName: string | undefined, connect: boolean): Promise<void> {
  const { file, config } = requireConfig(configName);
  const { tls } = config.receiver;
  const certificate = tls && readCertificate(tls);
  print(`${file}: ${paint('green', 'valid')}`);
  const { host, port, path } = config.receiver;
  print(
    `  callbacks of SDKAppID ${config.app.sdkAppId} at ${tls ? 'https' : 'http'}://${host}:${port}${path}, journal in ${config.journal.file}`,
  );
  if (certificate !== undefined) {
    print(`  the certificate in ${tls?.certFile} is valid until ${new Date(certificate.notAfter).toISOString()}`);
  }
  print(`  the admin server at http://${config.admin.host}:${config.admin.port} is ${openTo(config.admin)}`);
  for (const line of meaningOf(config)) print(`  ${line}`);
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

/** What settings mean that let somebody do something. */
function meaningOf({ app, receiver, admin }: Config): string[] {
  const { otherCommands, allowBefore, allowFrom, trustProxy } = receiver;
  const warn = (text: string): string => paint('yellow', text);
  const lines: string[] = [];
  if (app.callbackTokens === undefined) {
    const whoever = allowFrom === undefined ? 'whoever reaches this port' : 'whoever calls from receiver.allowFrom';
    lines.push(`${warn('no app.callbackTokens')}: ${whoever} and knows the SDKAppID can send callbacks`);
  }
  if (trustProxy !== false && allowFrom === undefined) {
    lines.push(`${warn('receiver.trustProxy without receiver.allowFrom')}: every caller is let in, proxy or not`);
  }
  if (!isLoopback(admin.host)) {
    lines.push(
      `${warn('the admin server speaks plain HTTP')}: put a proxy with HTTPS in front, or the token can be read on the way`,
    );
  }
  if (typeof otherCommands !== 'string') {
    const own = otherCommands.forwardAll ? ', and so are those that are recorded' : '';
    lines.push(`callbacks of other commands, "before" ones included, are answered by ${otherCommands.forwardTo}${own}`);
    return lines;
  }
  lines.push(
    otherCommands === 'acknowledge'
      ? 'callbacks of other commands are answered OK and not kept'
      : 'callbacks of other commands are refused',
  );
  if (allowBefore === undefined) lines.push('"before" commands are refused');
  for (const command of allowBefore ?? []) {
    lines.push(`${warn(`${command} is answered OK unseen`)}: the service then allows every such action`);
  }
  return lines;
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
