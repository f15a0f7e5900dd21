/** Callbacks as the service would make them, and how they are posted. */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { type AgentOptions as SecureOptions, Agent as TlsAgent, request as tlsRequest } from 'node:https';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { checkServerIdentity, rootCertificates } from 'node:tls';
import { signOf } from '../intake/authentication.ts';
import { GROUP_INFO_CHANGED } from '../intake/commands.ts';
import { messageOf } from '../model/fault.ts';

export interface SampleCallback {
  readonly query: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Makes the `index`-th of a run of callbacks over `groups` groups; no two are the same event. `at` in ms since 1970. */
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
      EventTime: at + turn,
      [field]: value,
      GroupId: `@TGS#SAMPLE${index % groups}`,
      Operator_Account: 'administrator',
      Type: 'Public',
    }),
  };
}

/** Returns the URL as the service would call it, signed when there is a token. `now` in milliseconds. */
export function callbackUrl(
  to: URL,
  query: Readonly<Record<string, string>>,
  token: string | undefined,
  now: number,
): URL {
  const url = new URL(to);
  url.search = new URLSearchParams(query).toString();
  if (token !== undefined) {
    const requestTime = String(Math.floor(now / 1000));
    url.searchParams.set('Sign', signOf(token, requestTime));
    url.searchParams.set('RequestTime', requestTime);
  }
  return url;
}

export interface SendPlan {
  readonly to: URL;
  readonly token?: string | undefined;
  readonly count: number;
  /** Callbacks a second; 0 is as fast as they are answered. */
  readonly rate: number;
  readonly connections: number;
  /** Certificates in PEM, trusted beside the system's authorities, whatever name they are for. */
  readonly pinned?: string | undefined;
  sample(index: number): SampleCallback;
  answered?(index: number, ok: boolean): void;
}

export interface SendResult {
  readonly sent: number;
  readonly ok: number;
  readonly failed: number;
  readonly seconds: number;
  /** Milliseconds from the moment when each was due to its answer, so that a stall counts. */
  readonly latency: { readonly p50: number; readonly p99: number; readonly max: number };
  /** The number of times that each answer came that was not OK. */
  readonly failures: ReadonlyMap<string, number>;
}

export async function send(plan: SendPlan, signal: AbortSignal): Promise<SendResult> {
  const agent =
    plan.to.protocol === 'https:'
      ? new TlsAgent({ keepAlive: true, maxSockets: plan.connections, ...(plan.pinned && pinning(plan.pinned)) })
      : new Agent({ keepAlive: true, maxSockets: plan.connections });
  const latencies: number[] = [];
  const failures = new Map<string, number>();
  let next = 0;
  let ok = 0;
  const start = performance.now();

  const connection = async (): Promise<void> => {
    while (next < plan.count && !signal.aborted) {
      const index = next++;
      const due = plan.rate > 0 ? start + (index * 1000) / plan.rate : performance.now();
      const early = due - performance.now();
      if (early > 0) await delay(early);
      const failure = await post(plan, agent, index);
      latencies.push(performance.now() - due);
      if (failure === undefined) ok++;
      else failures.set(failure, (failures.get(failure) ?? 0) + 1);
      plan.answered?.(index, failure === undefined);
    }
  };
  await Promise.all(Array.from({ length: Math.min(plan.connections, plan.count) }, connection));
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
 * Trusts the very certificate that the configuration names: it is for the name that the service calls, not for the
 * loopback address by which the bridge is reached here.
 */
function pinning(pem: string): SecureOptions {
  const own = new X509Certificate(pem).fingerprint256;
  return {
    ca: [...rootCertificates, pem],
    allowPartialTrustChain: true,
    checkServerIdentity: (host, peer) => (peer.fingerprint256 === own ? undefined : checkServerIdentity(host, peer)),
  };
}

/** Resolves with what went wrong, undefined where it was answered OK. */
async function post(plan: SendPlan, agent: Agent, index: number): Promise<string | undefined> {
  const { query, body } = plan.sample(index);
  const url = callbackUrl(plan.to, query, plan.token, Date.now());
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  try {
    const call = (url.protocol === 'https:' ? tlsRequest : request)(url, { agent, method: 'POST', headers });
    const [response] = (await once(call.end(body), 'response')) as [IncomingMessage];
    const answer = await text(response);
    const acknowledged = response.statusCode === 200 && answer.includes('"ActionStatus":"OK"');
    return acknowledged ? undefined : `HTTP ${response.statusCode}: ${answer.slice(0, 300)}`;
  } catch (thrown) {
    return messageOf(thrown);
  }
}
