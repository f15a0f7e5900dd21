/** Sample callbacks, as the service would make them, and how they are posted. */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { checkServerIdentity, rootCertificates } from 'node:tls';
import { BridgeError, messageOf } from '../model/fault.ts';
import { signOf } from './authentication.ts';
import { GROUP_INFO_CHANGED } from './commands.ts';
import type { ReceiverConfig } from './context.ts';

export interface SampleCallback {
  readonly query: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Makes the `index`-th of a series of distinct callbacks for `groups` groups, which happened `at` (ms since 1970). */
export function generatedSample(sdkAppId: string, index: number, groups: number, at: number): SampleCallback {
  const turn = Math.floor(index / groups);
  const field = ['Name', 'Introduction', 'Notification', 'FaceUrl'][turn % 4] ?? 'Name';
  const value = field === 'FaceUrl' ? `https://faces.example/${index}.png` : `${field} ${index}`;
  return {
    query: {
      SdkAppid: sdkAppId,
      CallbackCommand: GROUP_INFO_CHANGED,
      contenttype: 'json',
      ClientIP: '127.0.0.1',
      OptPlatform: 'RESTAPI',
    },
    body: JSON.stringify({
      CallbackCommand: GROUP_INFO_CHANGED,
      EventTime: at,
      [field]: value,
      GroupId: `@TGS#SAMPLE${index % groups}`,
      Operator_Account: 'administrator',
      Type: 'Public',
    }),
  };
}

interface SendPlan {
  readonly to: URL;
  readonly token?: string | undefined;
  readonly count: number;
  /** Callbacks per second; 0 sends as fast as they are answered. */
  readonly rate: number;
  readonly connections: number;
  /** Certificates in PEM, trusted in addition to the system's authorities, whatever name they are for. */
  readonly pinned?: string | undefined;
  sample(index: number): SampleCallback;
  answered?(): void;
}

export type SendResult = Awaited<ReturnType<typeof send>>;

export async function send(plan: SendPlan, signal: AbortSignal) {
  const { count, rate, connections, pinned } = plan;
  const keep = { keepAlive: true, maxSockets: connections };
  const secure = plan.to.protocol === 'https:';
  const agent = secure ? new https.Agent({ ...keep, ...(pinned && pinning(pinned)) }) : new http.Agent(keep);
  const latencies: number[] = [];
  const failures = new Map<string, number>();
  let next = 0;
  let ok = 0;
  const start = performance.now();

  const connection = async (): Promise<void> => {
    while (next < count && !signal.aborted) {
      const index = next++;
      const due = rate > 0 ? start + (index * 1000) / rate : performance.now();
      const early = due - performance.now();
      if (early > 0) await delay(early);
      const failure = await post(plan, agent, index);
      latencies.push(performance.now() - due);
      if (failure === undefined) ok++;
      else failures.set(failure, (failures.get(failure) ?? 0) + 1);
      plan.answered?.();
    }
  };
  await Promise.all(Array.from({ length: Math.min(connections, count) }, connection));
  agent.destroy();

  const sent = latencies.length;
  latencies.sort((a, b) => a - b);
  const at = (share: number): number => latencies[Math.min(sent - 1, Math.floor(sent * share))] ?? 0;
  return {
    sent,
    ok,
    failed: sent - ok,
    seconds: (performance.now() - start) / 1000,
    /** Milliseconds from when each was due until its answer, so that a stall counts. */
    latency: { p50: at(0.5), p99: at(0.99), max: at(1) },
    /** The answers other than OK, with the number of each. */
    failures,
  };
}

/** Trusts the configured certificate itself, which is not for a loopback address. */
function pinning(pem: string): https.AgentOptions {
  const own = new X509Certificate(pem).fingerprint256;
  return {
    ca: [...rootCertificates, pem],
    allowPartialTrustChain: true,
    checkServerIdentity: (host, peer) => (peer.fingerprint256 === own ? undefined : checkServerIdentity(host, peer)),
  };
}

/** Posts a callback as the service would, signed if there is a token; resolves with what went wrong, if anything. */
async function post(plan: SendPlan, agent: http.Agent, index: number): Promise<string | undefined> {
  const { query, body } = plan.sample(index);
  const url = new URL(plan.to);
  const requestTime = String(Math.floor(Date.now() / 1000));
  const signed = plan.token && { Sign: signOf(plan.token, requestTime), RequestTime: requestTime };
  url.search = new URLSearchParams({ ...query, ...signed }).toString();
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  try {
    const { request } = url.protocol === 'https:' ? https : http;
    const call = request(url, { agent, method: 'POST', headers }).end(body);
    const [response] = (await once(call, 'response')) as [http.IncomingMessage];
    const answer = await text(response);
    const acknowledged = response.statusCode === 200 && answer.includes('"ActionStatus":"OK"');
    return acknowledged ? undefined : `HTTP ${response.statusCode}: ${answer.slice(0, 300)}`;
  } catch (thrown) {
    return messageOf(thrown);
  }
}

/** Posts one callback to the receiver of this configuration at `to`; resolves with what went wrong, if anything. */
export async function sendOne({ app, receiver }: ReceiverConfig, to: URL, sample: SampleCallback, signal: AbortSignal) {
  const pinned = receiver.tls && readFileSync(receiver.tls.certFile, 'utf8');
  const plan = { to, token: app.callbackTokens?.[0], count: 1, rate: 0, connections: 1, pinned, sample: () => sample };
  const { failures } = await send(plan, signal);
  return failures.keys().next().value;
}

/** How long a sample may take: a deferred answer comes after the service's 2 s. */
const SAMPLE_MS = 5_000;

/** Returns a function that posts a sample to the bridge's own receiver; undefined if that requires more than this. */
export function sampleSender(config: ReceiverConfig, to: URL): (() => Promise<void>) | undefined {
  const { tls, proxyProtocol } = config.receiver;
  if (proxyProtocol || tls?.clientCaFile !== undefined) return undefined;
  if (to.hostname === '0.0.0.0') to.hostname = '127.0.0.1';
  if (to.hostname === '[::]') to.hostname = '[::1]';
  return async () => {
    const sample = generatedSample(config.app.sdkAppId, 0, 1, Date.now());
    const message = await sendOne(config, to, sample, AbortSignal.timeout(SAMPLE_MS));
    if (message !== undefined) throw new BridgeError({ code: 'command-failed', message });
  };
}
