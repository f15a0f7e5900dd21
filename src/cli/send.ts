import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { enabledOf } from '../config/diff.ts';
import type { Config } from '../config/schema.ts';
import type { SendResult } from '../intake/sample.ts';
import { BridgeError } from '../model/fault.ts';
import { addCommand, configOption, failed, reachable, receiverUrl, requireConfig, wholeNumber } from './options.ts';
import { answer, interruption, type Lines, progress } from './terminal.ts';

interface SendOptions {
  readonly config?: string;
  readonly to?: URL;
  readonly count: number;
  readonly rate: number;
  readonly groups: number;
  readonly connections: number;
  readonly json?: boolean;
}

export function addSend(program: Command): void {
  const calls = ['send --count 1000 --rate 100 --groups 50', 'send --to https://chat.example.com/callback'];
  addCommand(program, 'send', 'post made-up callbacks to a running bridge', ...calls)
    .addOption(configOption)
    .option('--to <url>', 'where to (default: the receiver of the configuration, on this machine)', receiverUrl)
    .option('--count <n>', 'how many', wholeNumber(1), 10)
    .option('--rate <n>', 'callbacks per second; 0: as fast as they are answered', wholeNumber(0), 0)
    .option('--groups <n>', 'number of groups', wholeNumber(1), 100)
    .option('--connections <n>', 'number of concurrent connections', wholeNumber(1), 16)
    .option('--json', 'print the result as JSON')
    .action(sendSamples);
}

async function sendSamples(options: SendOptions): Promise<void> {
  const { config } = await requireConfig(options.config);
  const { app, receiver, source } = config;
  if (options.to === undefined && source !== undefined) {
    const message = 'a worker receives no callbacks';
    throw new BridgeError({ code: 'usage', path: 'source', message, suggestion: 'name a receiver with --to' });
  }
  const { host, port, path, tls } = receiver;
  const to = options.to ?? new URL(`${tls ? 'https' : 'http'}://${reachable(host)}:${port}${path}`);
  const { generatedSample, send } = await import('../intake/sample.ts');
  const bar = await progress('sending', options.count);
  const plan = {
    ...options,
    to,
    token: app.callbackTokens?.[0],
    pinned: tls && readFileSync(tls.certFile, 'utf8'),
    sample: (index: number) => generatedSample(app.sdkAppId, index, options.groups, Date.now()),
    answered: bar.advance,
  };
  const result = await send(plan, interruption());
  bar.end();
  const { failures, ...figures } = result;
  answer(
    options,
    { to: to.href, ...figures, failures: Object.fromEntries(failures) },
    resultLines(to, result),
    options.to === undefined && result.ok > 0 && lookLine(config),
  );
  if (result.failed > 0) {
    throw failed(`${result.failed} of ${result.sent} callbacks were not answered OK`, adviceOn(to, result));
  }
}

function adviceOn(to: URL, { ok, failures }: SendResult): string {
  if (ok > 0) return 'see the answers above';
  if ([...failures.keys()].every((failure) => /^HTTP 40[13]\b/.test(failure)))
    return 'see the answers above: check token and SDKAppID in the --config file, and that receiver.allowFrom includes this machine';
  return `is a bridge listening at ${to.href}? --to names another address`;
}

function lookLine({ admin, connectors }: Config): Lines {
  const pages = admin.port === 0 ? [] : [`http://${reachable(admin.host)}:${admin.port}/events`];
  const files = Object.values(enabledOf(connectors)).flatMap(({ kind, path }) =>
    kind === 'file' ? [String(path)] : [],
  );
  const places = [...pages, ...files];
  return places.length > 0 && `see them: ${places.join(' and ')}`;
}

function resultLines(to: URL, { sent, ok, failed, seconds, latency, failures }: SendResult): string[] {
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  const times = `p50 ${ms(latency.p50)}, p99 ${ms(latency.p99)}, max ${ms(latency.max)}`;
  return [
    ...Array.from(failures, ([failure, count]) => `${count} × ${failure}`),
    `sent ${sent} to ${to.href} in ${seconds.toFixed(2)} s: ${ok} OK, ${failed} failed; ${times}`,
  ];
}
