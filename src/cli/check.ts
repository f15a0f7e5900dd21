import type { Command } from 'commander';
import type { Finding } from '../../connectors/contract.ts';
import { examine, examineSource } from '../../connectors/index.ts';
import { isLoopback } from '../config/listeners.ts';
import type { Config, ConnectorConfig } from '../config/schema.ts';
import { deadLetterTopic, type Source } from '../config/source.ts';
import { readCertificate } from '../http/certificate.ts';
import { journalDoubts } from '../journal/volume.ts';
import { systemClock } from '../model/clock.ts';
import { BridgeError, describeFault, type Fault } from '../model/fault.ts';
import { openTo, requireConfig } from './configuration.ts';
import { configOption, examples } from './options.ts';
import { type SelfTested, selfTest } from './self-test.ts';
import { paint, print } from './terminal.ts';

interface CheckOptions {
  readonly config?: string;
  /** Has every enabled connector examined. */
  readonly connect?: boolean;
  /** Has a signed sample sent through a bridge of its own. */
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

export function addCheck(program: Command): void {
  program
    .command('check')
    .description('read the configuration and name every problem in it')
    .addOption(configOption)
    .option('--connect', 'also examine every enabled connector: reached, let in, topic or index, permission to write')
    .option('--self-test', 'also send a signed sample callback through a bridge of its own, apart from your connectors')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples('check --connect --config config/kafka-elasticsearch.yaml'))
    .action(check);
}

/** Says what the configuration means and, with `connect`, what is wrong with each enabled connector, as it is found. */
async function check(options: CheckOptions): Promise<void> {
  const { file, config } = requireConfig(options.config);
  if (options.selfTest && config.source !== undefined) {
    const message = 'the self-test sends a callback, and a worker receives none';
    throw new BridgeError({ code: 'usage', path: 'source', message });
  }
  const say = options.json ? () => {} : print;
  const meaning = meaningOf(config);
  say(`${file}: ${paint('green', 'valid')}`);
  for (const line of meaning) say(`  ${line}`);

  const source = options.connect && config.source !== undefined ? await sourceFinding(config.source) : undefined;
  if (source !== undefined) say(`  source (kafka):\n    ${shown(source)}`);
  const connectors = await examineConnectors(config, options.connect === true, say);
  const tested = options.selfTest ? await selfTest(config) : undefined;
  if (tested !== undefined)
    say(`  self-test: ${tested.fault === undefined ? tested.says : paint('red', describeFault(tested.fault))}`);

  const fault = faultIn(source, connectors, tested);
  if (options.json) {
    const beside = { ...(source !== undefined && { source }), ...(tested !== undefined && { selfTest: tested }) };
    print(JSON.stringify({ file, ok: fault === undefined, connectors, ...beside }));
  }
  if (fault !== undefined) throw new BridgeError(fault);
}

async function examineConnectors(config: Config, connect: boolean, say: (line: string) => void): Promise<Examined[]> {
  const connectors: Examined[] = [];
  for (const [name, connector] of Object.entries(config.connectors)) {
    const { kind, enabled } = connector;
    const examined = enabled && connect;
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
  return connectors;
}

/** Returns the fault that the command ends with, the first of those found. */
function faultIn(
  source: Finding | undefined,
  connectors: readonly Examined[],
  tested: SelfTested | undefined,
): Fault | undefined {
  if (source?.fault !== undefined) return source.fault;
  const broken = connectors.filter(({ findings }) => findings.some(({ state }) => state === 'wrong'));
  if (broken.length > 0) {
    const names = broken.map(({ name }) => name).join(', ');
    const message = `${broken.length} of the connectors cannot be used as configured: ${names}`;
    return { code: 'destination-unreachable', message };
  }
  return tested?.fault === undefined ? undefined : { code: 'command-failed', message: 'the self-test failed' };
}

function shown({ step, state, says, fault }: Finding): string {
  const text = `${step}: ${fault === undefined ? says : describeFault(fault)}`;
  if (state === 'well') return `${paint('green', '✓')} ${text}`;
  return state === 'note' ? `${paint('yellow', '!')} ${text}` : paint('red', `✗ ${text}`);
}

/** Returns a line for each thing that the settings decide, warnings included. Throws where a certificate cannot be used. */
function meaningOf(config: Config): string[] {
  const { app, receiver, journal, admin, source } = config;
  const { host, port, path, tls } = receiver;
  const certificate = tls && readCertificate(tls);
  const events =
    source === undefined
      ? `callbacks of SDKAppID ${app.sdkAppId} at ${tls ? 'https' : 'http'}://${host}:${port}${path}, journal in ${journal.file}`
      : `a worker: events of ${source.topic}, as a member of ${source.groupId}, dead letters to ${deadLetterTopic(source)}`;
  return [
    events,
    ...(certificate === undefined
      ? []
      : [`the certificate in ${tls?.certFile} is valid until ${new Date(certificate.notAfter).toISOString()}`]),
    `the admin server at http://${admin.host}:${admin.port} is ${openTo(admin)}`,
    ...(source === undefined ? journalDoubts(journal.file).map(warn) : []),
    ...accessLines(config),
    ...(source === undefined ? otherCommandLines(receiver) : []),
  ];
}

const warn = (text: string): string => paint('yellow', text);

function accessLines({ app, receiver: { allowFrom, trustProxy }, admin, source }: Config): string[] {
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
  return lines;
}

function otherCommandLines({ otherCommands, allowBefore }: Config['receiver']): string[] {
  if (typeof otherCommands !== 'string') {
    const recorded = otherCommands.forwardAll ? ', and so are those that are recorded' : '';
    return [
      `callbacks of other commands, "before" ones included, are answered by ${otherCommands.forwardTo}${recorded}`,
    ];
  }
  const others = otherCommands === 'acknowledge' ? 'answered OK and not kept' : 'refused';
  return [
    `callbacks of other commands are ${others}`,
    ...(allowBefore === undefined ? ['"before" commands are refused'] : []),
    ...(allowBefore ?? []).map(
      (command) => `${warn(`${command} is answered OK unseen`)}: the service then allows every such action`,
    ),
  ];
}

/** Returns the finding that ends the examination of a worker's source. */
async function sourceFinding(source: Source): Promise<Finding | undefined> {
  let last: Finding | undefined;
  for await (const finding of examineSource(source, AbortSignal.timeout(EXAMINE_MS))) last = finding;
  return last;
}

/** Yields the findings about a destination; one that hangs ends its own examination, not the command. */
async function* examineConnector(name: string, { kind, ...options }: ConnectorConfig): AsyncGenerator<Finding> {
  const signal = AbortSignal.timeout(EXAMINE_MS);
  const host = { name, clock: systemClock, note: () => {} };
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
