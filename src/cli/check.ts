import type { Finding } from '../../connectors/contract.ts';
import { examine } from '../../connectors/index.ts';
import { clientOptions } from '../../connectors/kafka/connector.ts';
import { extentOf } from '../../connectors/kafka/consumer.ts';
import { isLoopback } from '../config/listeners.ts';
import type { Config, ConnectorConfig } from '../config/schema.ts';
import { deadLetterTopic, type Source } from '../config/source.ts';
import { readCertificate } from '../http/certificate.ts';
import { systemClock } from '../model/clock.ts';
import { BridgeError, describeFault, faultOf } from '../model/fault.ts';
import { openTo, requireConfig } from './configuration.ts';
import { selfTest } from './self-test.ts';
import { paint, print } from './terminal.ts';

export interface CheckOptions {
  readonly config?: string;
  /** Examine every enabled connector. */
  readonly connect?: boolean;
  /** Send a signed sample through a bridge of its own. */
  readonly selfTest?: boolean;
  readonly json?: boolean;
}

interface Examined {
  readonly name: string;
  readonly kind: string;
  readonly enabled: boolean;
  readonly findings: readonly Finding[];
}

const EXAMINE_MS = 20_000;

/** Reads the configuration and says what it means; with `connect` it is the doctor of every enabled connector. */
export async function check(options: CheckOptions): Promise<void> {
  const { file, config } = requireConfig(options.config);
  const { tls } = config.receiver;
  const certificate = tls && readCertificate(tls);
  const say = options.json === true ? () => {} : print;
  say(`${file}: ${paint('green', 'valid')}`);
  const { host, port, path } = config.receiver;
  if (config.source !== undefined) {
    const { topic, groupId } = config.source;
    say(`  a worker: events of ${topic}, as a member of ${groupId}, dead letters to ${deadLetterTopic(config.source)}`);
  } else {
    say(
      `  callbacks of SDKAppID ${config.app.sdkAppId} at ${tls ? 'https' : 'http'}://${host}:${port}${path}, journal in ${config.journal.file}`,
    );
  }
  if (certificate !== undefined) {
    say(`  the certificate in ${tls?.certFile} is valid until ${new Date(certificate.notAfter).toISOString()}`);
  }
  say(`  the admin server at http://${config.admin.host}:${config.admin.port} is ${openTo(config.admin)}`);
  for (const line of meaningOf(config)) say(`  ${line}`);

  const source =
    options.connect === true && config.source !== undefined ? await examineSource(config.source) : undefined;
  if (source !== undefined) say(`  source (kafka):\n    ${shown(source)}`);
  const connectors: Examined[] = [];
  for (const [name, connector] of Object.entries(config.connectors)) {
    const { kind, enabled } = connector;
    const examined = enabled && options.connect === true;
    say(`  ${name} (${kind}): ${!enabled ? paint('dim', 'disabled') : examined ? '' : 'enabled'}`.trimEnd());
    const findings: Finding[] = [];
    if (examined) {
      for await (const finding of examineConnector(name, connector)) {
        say(`    ${shown(finding)}`);
        findings.push(finding);
      }
    }
    connectors.push({ name, kind, enabled, findings });
  }
  if (options.selfTest === true && config.source !== undefined) {
    const message = 'the self-test sends a callback, and a worker receives none';
    throw new BridgeError({ code: 'usage', path: 'source', message });
  }
  const tested = options.selfTest === true ? await selfTest(config) : undefined;
  if (tested !== undefined)
    say(`  self-test: ${tested.fault === undefined ? tested.says : paint('red', describeFault(tested.fault))}`);

  const broken = connectors.filter(({ findings }) => findings.some(({ state }) => state === 'wrong'));
  if (options.json === true) {
    const ok = broken.length === 0 && tested?.fault === undefined && source?.fault === undefined;
    const beside = { ...(source !== undefined && { source }), ...(tested !== undefined && { selfTest: tested }) };
    print(JSON.stringify({ file, ok, connectors, ...beside }));
  }
  if (source?.fault !== undefined) throw new BridgeError(source.fault);
  if (broken.length > 0) {
    const names = broken.map(({ name }) => name).join(', ');
    const message = `${broken.length} of the connectors cannot be used as configured: ${names}`;
    throw new BridgeError({ code: 'destination-unreachable', message });
  }
  if (tested?.fault !== undefined) throw new BridgeError({ code: 'command-failed', message: 'the self-test failed' });
}

function shown({ step, state, says, fault }: Finding): string {
  const text = `${step}: ${fault === undefined ? says : describeFault(fault)}`;
  if (state === 'well') return `${paint('green', '✓')} ${text}`;
  return state === 'note' ? `${paint('yellow', '!')} ${text}` : paint('red', `✗ ${text}`);
}

/** What settings mean that let somebody do something. */
function meaningOf({ app, receiver, admin, source }: Config): string[] {
  const { otherCommands, allowBefore, allowFrom, trustProxy } = receiver;
  const warn = (text: string): string => paint('yellow', text);
  const lines: string[] = [];
  if (app.callbackTokens === undefined && source === undefined) {
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
  if (source !== undefined) return lines;
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

/** Whether the events can be read; that the group lets this client in, only joining it tells. */
async function examineSource(source: Source): Promise<Finding> {
  try {
    const extents = await extentOf(await clientOptions(source, 'source', AbortSignal.timeout(EXAMINE_MS)));
    if (extents.length > 0)
      return { step: 'topic', state: 'well', says: `${source.topic}: ${extents.length} partitions` };
    throw new BridgeError({
      code: 'destination-missing',
      path: 'source.topic',
      message: `the topic ${source.topic} does not exist`,
      suggestion: 'a receiving bridge with a kafka connector creates it',
    });
  } catch (thrown) {
    const fault = faultOf(thrown, 'destination-unreachable');
    return { step: 'topic', state: 'wrong', says: fault.message, fault };
  }
}

/** A destination that hangs ends the examination, not the command. */
async function* examineConnector(name: string, { kind, ...options }: ConnectorConfig): AsyncGenerator<Finding> {
  const signal = AbortSignal.timeout(EXAMINE_MS);
  const host = { name, clock: systemClock, unfiltered: true, group: () => undefined, note: () => {} };
  const late = new Promise<'late'>((resolve) => signal.addEventListener('abort', () => resolve('late')));
  const findings = examine(kind, options, host, signal);
  for (;;) {
    const next = await Promise.race([findings.next(), late]);
    if (next === 'late') {
      const message = `no answer within ${EXAMINE_MS / 1_000} s`;
      const fault = { code: 'destination-unreachable', message, path: `connectors.${name}` } as const;
      yield { step: 'destination', state: 'wrong', says: message, fault };
      return;
    }
    if (next.done === true) return;
    yield next.value;
  }
}
