import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { type AgentOptions as SecureOptions, Agent as TlsAgent, request as tlsRequest } from 'node:https';
import { checkServerIdentity, rootCertificates } from 'node:tls';
import type { Config } from '../config/schema.ts';
import { BridgeError, messageOf } from '../model/fault.ts';
import { reachable } from './configuration.ts';
import { callbackUrl, generatedSample, type SampleCallback } from './samples.ts';
import { print, progress } from './terminal.ts';

export interface SendPlan {
  readonly to: URL;
  readonly token?: string | undefined;
  readonly count: number;
  /** Callbacks a second; 0 = as fast as they are answered. */
  readonly rate: number;
  readonly connections: number;
  /** PEM: certificates that are believed beside the system's authorities, whatever name they are for. */
  readonly pinned?: string | undefined;
  sample(index: number): SampleCallback;
  answered?(index: number, ok: boolean): void;
}

export interface SendResult {
  readonly sent: number;
  readonly ok: number;
  readonly failed: number;
  readonly seconds: number;
  /** Milliseconds from the moment each was due to its answer, so that a stall is not left out. */
  readonly latency: { readonly p50: number; readonly p99: number; readonly max: number };
  /** The distinct answers that were not OK, with their number. */
  readonly failures: ReadonlyMap<string, number>;
}

export async function send(plan: SendPlan, signal: AbortSignal): Promise<SendResult> {
  const secure = plan.to.protocol === 'https:';
  const agent = secure
    ? new TlsAgent({ keepAlive: true, maxSockets: plan.connections, ...(plan.pinned && pinning(plan.pinned)) })
    : new Agent({ keepAlive: true, maxSockets: plan.connections });
  const latencies: number[] = [];
  const failures = new Map<string, number>();
  let next = 0;
  let ok = 0;
  const start = performance.now();

  const worker = async (): Promise<void> => {
    while (next < plan.count && !signal.aborted) {
      const index = next++;
      const due = plan.rate > 0 ? start + (index * 1000) / plan.rate : performance.now();
      const early = due - performance.now();
      if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
      const failure = await post(plan, secure, agent, index);
      latencies.push(performance.now() - due);
      if (failure === undefined) ok++;
      else failures.set(failure, (failures.get(failure) ?? 0) + 1);
      plan.answered?.(index, failure === undefined);
    }
  };
  await Promise.all(Array.from({ length: Math.min(plan.connections, plan.count) }, worker));
  agent.destroy();

  latencies.sort((a, b) => a - b);
  const at = (share: number): number =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0;
  return {
    sent: latencies.length,
    ok,
    failed: latencies.length - ok,
    seconds: (performance.now() - start) / 1000,
    latency: { p50: at(0.5), p99: at(0.99), max: at(1) },
    failures,
  };
}

/**
 * The bridge's own certificate is for the name that the service calls, not for the loopback address it is reached by
 * here: so it is believed when it is the very one that the configuration names.
 */
function pinning(pem: string): SecureOptions {
  const own = new X509Certificate(pem).fingerprint256;
  return {
    ca: [...rootCertificates, pem],
    allowPartialTrustChain: true,
    checkServerIdentity: (host, peer) => (peer.fingerprint256 === own ? undefined : checkServerIdentity(host, peer)),
  };
}

/** Undefined when it was answered OK, otherwise what went wrong. */
function post(plan: SendPlan, secure: boolean, agent: Agent, index: number): Promise<string | undefined> {
  const { query, body } = plan.sample(index);
  const url = callbackUrl(plan.to, query, plan.token, Date.now());
  return new Promise((resolve) => {
    const options = {
      agent,
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    };
    const call = (secure ? tlsRequest : request)(url, options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        const acknowledged = response.statusCode === 200 && text.includes('"ActionStatus":"OK"');
        resolve(acknowledged ? undefined : `HTTP ${response.statusCode}: ${text.slice(0, 300)}`);
      });
      response.on('error', (error) => resolve(messageOf(error)));
    });
    call.on('error', (error) => resolve(messageOf(error)));
    call.end(body);
  });
}

export interface SendOptions {
  readonly to?: URL;
  readonly count: number;
  readonly rate: number;
  readonly groups: number;
  readonly connections: number;
  readonly json?: boolean;
}

/** The command: posts generated samples, shows progress, closes with one line of what became of them. */
export async function sendSamples(config: Config, options: SendOptions): Promise<void> {
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

/** The configured receiver as this machine reaches it. */
function ownReceiver({ receiver: { host, port, path, tls } }: Config): URL {
  return new URL(`${tls ? 'https' : 'http'}://${reachable(host)}:${port}${path}`);
}
