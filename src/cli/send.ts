import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { Config } from '../config/schema.ts';
import { BridgeError } from '../model/fault.ts';
import { generatedSample, type SendResult, send } from './callbacks.ts';
import { reachable, requireConfig } from './configuration.ts';
import { configOption, examples, httpUrl, wholeNumber } from './options.ts';
import { print, progress } from './terminal.ts';

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
  program
    .command('send')
    .description('post made-up callbacks to a running bridge')
    .addOption(configOption)
    .option('--to <url>', 'where to (default: the receiver of the configuration, on this machine)', httpUrl)
    .option('--count <n>', 'how many', wholeNumber(1), 10)
    .option('--rate <n>', 'how many a second, 0 for as fast as they are answered', wholeNumber(0), 0)
    .option('--groups <n>', 'over how many groups', wholeNumber(1), 100)
    .option('--connections <n>', 'how many at once', wholeNumber(1), 16)
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples('send --count 1000 --rate 100 --groups 50', 'send --to https://chat.example.com/callback'),
    )
    .action(sendSamples);
}

async function sendSamples(options: SendOptions): Promise<void> {
  const { config } = requireConfig(options.config);
  if (options.to === undefined && config.source !== undefined) {
    const message = 'a worker receives no callbacks';
    throw new BridgeError({ code: 'usage', path: 'source', message, suggestion: 'name a receiver with --to' });
  }
  const to = options.to ?? ownReceiver(config);
  const at = Date.now();
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  const bar = progress('sending', options.count);
  const result = await send(
    {
      ...options,
      to,
      token: config.app.callbackTokens?.[0],
      pinned: config.receiver.tls && readFileSync(config.receiver.tls.certFile, 'utf8'),
      sample: (index) => generatedSample(config.app.sdkAppId, index, options.groups, at),
      answered: bar.advance,
    },
    stop.signal,
  );
  bar.end();
  if (options.json) print(JSON.stringify({ to: to.href, ...result, failures: Object.fromEntries(result.failures) }));
  else printResult(to, result);
  if (result.failed > 0) {
    throw new BridgeError({
      code: 'command-failed',
      message: `${result.failed} of ${result.sent} callbacks were not answered OK`,
      suggestion:
        result.ok === 0 ? `is a bridge listening at ${to.href}? --to names another address` : 'see the answers above',
    });
  }
}

function printResult(to: URL, { sent, ok, failed, seconds, latency, failures }: SendResult): void {
  for (const [failure, count] of failures) print(`${count} × ${failure}`);
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  print(
    `sent ${sent} to ${to.href} in ${seconds.toFixed(2)} s: ${ok} OK, ${failed} failed; ` +
      `p50 ${ms(latency.p50)}, p99 ${ms(latency.p99)}, max ${ms(latency.max)}`,
  );
}

/** Returns the URL by which this machine reaches the configured receiver. */
function ownReceiver({ receiver: { host, port, path, tls } }: Config): URL {
  return new URL(`${tls ? 'https' : 'http'}://${reachable(host)}:${port}${path}`);
}
