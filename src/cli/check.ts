import { once } from 'node:events';
import type { Command } from 'commander';
import type { Finding, Host } from '../../connectors/contract.ts';
import { examine, examineSource, source as sourceKind, tryTransform } from '../../connectors/index.ts';
import { enabledOf } from '../config/diff.ts';
import { isLoopback, opennessOf } from '../config/listeners.ts';
import type { Config, ConnectorConfig } from '../config/schema.ts';
import { type CertificateFiles, readCertificate } from '../http/certificate.ts';
import { journalDoubts } from '../journal/place.ts';
import { urlHost } from '../model/address.ts';
import { systemClock } from '../model/clock.ts';
import { sourceOf } from '../model/event.ts';
import { BridgeError, describeFault, type Fault, faultOf } from '../model/fault.ts';
import { plural } from '../model/text.ts';
import { addCommand, configOption, openTo, requireConfig } from './options.ts';
import { examples } from './schema.ts';
import { type Lines, linesOf, paint, print } from './terminal.ts';

interface CheckOptions {
  readonly config?: string;
  readonly connect?: boolean;
  readonly selfTest?: boolean;
  readonly json?: boolean;
}

const EXAMINE_MS = 20_000;

export function addCheck(program: Command): void {
  const description = 'read the configuration and name every problem in it';
  addCommand(program, 'check', description, 'check --connect --config config/kafka-elasticsearch.yaml')
    .addOption(configOption)
    .option(
      '--connect',
      'also examine every enabled connector (connection, credentials, topic or index, write permission), and the API of reconcile',
    )
    .option('--self-test', 'also send a signed sample callback through a separate bridge, without your connectors')
    .option('--json', 'print the result as JSON')
    .action(check);
}

/** Says what the configuration means and, with `connect`, what it finds at each enabled connector. */
export async function check(options: CheckOptions): Promise<void> {
  const { file, config } = await requireConfig(options.config, (file, problems) => {
    if (options.json) print(JSON.stringify({ file, ok: false, connectors: [], problems }));
  });
  if (options.selfTest && config.source !== undefined) {
    const message = 'the self-test sends a callback, but a worker receives none';
    throw new BridgeError({ code: 'usage', path: 'source', message });
  }
  const say = options.json ? () => {} : print;
  say(
    `${file}: ${paint('green', 'valid')}`,
    linesOf(meaningOf(config)).map((line) => `  ${line}`),
  );

  const told = async (title: string, findings: AsyncIterable<Finding>): Promise<Finding[]> => {
    say(`  ${title}`);
    const all: Finding[] = [];
    for await (const finding of findings) {
      say(`    ${shown(finding)}`);
      all.push(finding);
    }
    return all;
  };
  const { connect = false } = options;
  const { app, source: from, reconcile: service } = config;
  const names = Object.keys(enabledOf(config.connectors));
  const ofSource =
    connect && from
      ? await told(`source (${from.kind}):`, examineSource(from, names, AbortSignal.timeout(EXAMINE_MS)))
      : [];
  const source = ofSource.find(({ state }) => state === 'wrong') ?? ofSource.at(-1);
  const [reconcile] =
    connect && service
      ? await told(`reconcile (${[service.api.baseUrl].flat().join(', ')}):`, reconcileFindings(app, service))
      : [];
  const connectors = [];
  for (const [name, connector] of Object.entries(config.connectors)) {
    const { kind, enabled } = connector;
    const how = enabled ? (connect ? '' : ' enabled') : ` ${paint('dim', 'disabled')}`;
    const findings = await told(`${name} (${kind}):${how}`, connectorFindings(name, connector, connect, app));
    connectors.push({ name, kind, enabled, findings });
  }
  const tested = options.selfTest ? await (await import('./self-test.ts')).selfTest(config) : undefined;
  if (tested !== undefined)
    say(`  self-test: ${tested.fault === undefined ? tested.says : paint('red', describeFault(tested.fault))}`);

  const failed = tested?.fault && ({ code: 'command-failed', message: 'the self-test failed' } as const);
  const fault = source?.fault ?? unusable(connectors) ?? reconcile?.fault ?? failed;
  if (options.json) {
    const beside = { ...(source && { source }), ...(reconcile && { reconcile }), ...(tested && { selfTest: tested }) };
    print(JSON.stringify({ file, ok: fault === undefined, connectors, ...beside }));
  }
  if (fault !== undefined) throw new BridgeError(fault);
}

async function* connectorFindings(
  name: string,
  connector: ConnectorConfig,
  connect: boolean,
  app: Config['app'],
): AsyncGenerator<Finding> {
  if (!connector.enabled) return;
  const source = sourceOf(app.sdkAppId);
  const host = { name, clock: systemClock, source, note: () => {}, created: () => {} };
  yield* tryTransform(connector, host, Object.values(examples()));
  if (connect) yield* destinationFindings(host, connector);
}

/** Yields the findings about a destination. If it hangs, only its own examination ends. */
async function* destinationFindings(host: Host, connector: ConnectorConfig): AsyncGenerator<Finding> {
  const signal = AbortSignal.timeout(EXAMINE_MS);
  const findings = examine(connector, host, signal);
  const says = `no answer within ${EXAMINE_MS / 1_000} s`;
  const fault: Fault = { code: 'destination-unreachable', message: says, path: `connectors.${host.name}` };
  const hanging = { done: false, value: { step: 'destination', state: 'wrong', says, fault } } as const;
  const late = once(signal, 'abort').then(() => hanging);
  // Neither the signal's timer nor what a user's module waits for may keep the process alive.
  const alive = setInterval(() => {}, EXAMINE_MS);
  try {
    for (;;) {
      const { done, value } = await Promise.race([findings.next(), late]);
      if (done) return;
      yield value;
      if (value === hanging.value) return;
    }
  } finally {
    clearInterval(alive);
  }
}

/** Yields the result of one signed call of the service's REST API. */
async function* reconcileFindings(
  { sdkAppId }: Config['app'],
  { api }: NonNullable<Config['reconcile']>,
): AsyncGenerator<Finding> {
  const step = 'signed call';
  const { createGroupApi } = await import('../reconcile/api.ts');
  try {
    const groups = await createGroupApi({ ...api, sdkAppId }, systemClock).examine(AbortSignal.timeout(EXAMINE_MS));
    yield { step, state: 'well', says: `answered: the app has ${plural(groups, 'group')}` };
  } catch (thrown) {
    const fault = faultOf(thrown, 'service-unreachable');
    yield { step, state: 'wrong', says: fault.message, fault };
  }
}

/** Returns a fault that names the connectors with something wrong; undefined if there are none. */
function unusable(connectors: readonly { name: string; findings: readonly Finding[] }[]): Fault | undefined {
  const broken = connectors.filter(({ findings }) => findings.some(({ state }) => state === 'wrong'));
  if (broken.length === 0) return undefined;
  const names = broken.map(({ name }) => name).join(', ');
  const message = `${broken.length} of the connectors cannot be used as configured: ${names}`;
  return { code: 'destination-unreachable', message };
}

function shown({ step, state, says, fault }: Finding): string {
  const text = `${step}: ${fault === undefined ? says : describeFault(fault)}`;
  if (state === 'well') return `${paint('green', '✓')} ${text}`;
  return state === 'note' ? `${paint('yellow', '!')} ${text}` : paint('red', `✗ ${text}`);
}

/** Returns what the settings mean, with warnings, line by line. Throws if a file that they name cannot be used. */
function meaningOf({ app, receiver, journal, admin, source }: Config): Lines {
  const { host, port, path, tls, allowFrom, trustProxy } = receiver;
  const reads = source && sourceKind.describe(source);
  return [
    reads === undefined
      ? `callbacks of SDKAppID ${app.sdkAppId} at ${tls ? 'https' : 'http'}://${urlHost(host)}:${port}${path}, journal in ${journal.file}`
      : `a worker: events of ${reads.topic}, as a member of ${reads.groupId}, dead letters to ${reads.deadLetters}`,
    tls && certificateLine(tls),
    `the admin server at http://${urlHost(admin.host)}:${admin.port} is ${openTo(admin)}`,
    source === undefined && journalDoubts(journal.file).map(warn),
    source === undefined && app.callbackTokens === undefined && warn(opennessOf({ app, receiver }) ?? UNSIGNED),
    trustProxy !== false &&
      allowFrom === undefined &&
      `${warn('receiver.trustProxy without receiver.allowFrom')}: every caller is let in, proxy or not`,
    !isLoopback(admin.host) &&
      `${warn('the admin server speaks plain HTTP')}: put a proxy with HTTPS in front, or the token can be intercepted`,
    source === undefined && otherCommandLines(receiver),
  ];
}

function certificateLine(tls: CertificateFiles): string {
  const { notAfter } = readCertificate(tls);
  const line = `the certificate in ${tls.certFile} is valid until ${new Date(notAfter).toISOString()}`;
  return notAfter < Date.now() ? `${warn(line)}: callers will reject it` : line;
}

const UNSIGNED = 'no app.callbackTokens: anyone in receiver.allowFrom who knows the SDKAppID can send callbacks';

const warn = (text: string): string => paint('yellow', text);

function otherCommandLines({ otherCommands, allowBefore }: Config['receiver']): Lines {
  if (typeof otherCommands !== 'string') {
    const { forwardTo, forwardAll } = otherCommands;
    const recorded = forwardAll ? ', and so are those that are recorded' : '';
    return `callbacks of other commands, "before" ones included, are answered by ${forwardTo}${recorded}`;
  }
  const allowed = (command: string): string =>
    `${warn(`${command} is answered OK unseen`)}: the service then allows every such action`;
  return [
    `callbacks of other commands are ${otherCommands === 'acknowledge' ? 'answered OK and not kept' : 'refused'}`,
    allowBefore?.map(allowed) ?? '"before" commands are refused',
  ];
}
