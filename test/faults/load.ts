/** A steady load of unique callbacks over keep-alive connections, each of which owns its groups. */
import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { createLedger, type Ledger, nextCallback, SEARCH, type SentGroup } from './ledger.ts';

export interface LoadSettings {
  /** Callbacks a second over all connections; Infinity = as fast as they are answered. */
  readonly rate: number;
  readonly groups: number;
  readonly connections: number;
}

export interface Load {
  readonly ledger: Ledger;
  /** Posts callbacks to this URL from now on. */
  target: string;
  /** Callbacks sent from now on belong to this round. */
  round: number;
  /** Returns the answers since the last call, counted. */
  failures(): Map<string, number>;
  /** Collects milliseconds from the moment each callback was due to its OK, until the returned function is called. */
  measure(): () => number[];
  /** Resolves when nothing is in flight any more. */
  pause(): Promise<void>;
  resume(): void;
  stop(): Promise<void>;
}

/** Longer than the receiver holds an answer when it cannot record. */
const ANSWER_WITHIN_MS = 10_000;
/** A connection that is further behind its schedule than this does not catch up: the rate stays bounded after an outage. */
const MAX_BEHIND_MS = 1_000;

export function startLoad({ rate, groups, connections }: LoadSettings, target: string): Load {
  const ledger = createLedger(groups);
  const intervalMs = (connections * 1_000) / rate;
  const measuring = new Set<number[]>();
  let failures = new Map<string, number>();
  let inFlight = 0;
  let stopped = false;
  let gate: PromiseWithResolvers<void> | undefined;
  let idle: PromiseWithResolvers<void> | undefined;

  const load = {
    ledger,
    target,
    round: 0,
    failures() {
      const found = failures;
      failures = new Map();
      return found;
    },
    measure() {
      const samples: number[] = [];
      measuring.add(samples);
      return () => {
        measuring.delete(samples);
        return samples;
      };
    },
    async pause() {
      gate ??= Promise.withResolvers();
      idle = Promise.withResolvers();
      if (inFlight > 0) await idle.promise;
    },
    resume() {
      gate?.resolve();
      gate = undefined;
    },
    async stop() {
      stopped = true;
      load.resume();
      await Promise.all(running);
    },
  };

  const sendNext = async (group: SentGroup, agent: Agent, due: number): Promise<void> => {
    const { sent, body } = nextCallback(group, load.round);
    inFlight++;
    const failure = await post(agent, load.target, body);
    inFlight--;
    if (failure === undefined) {
      sent.ok = true;
      ledger.answeredOk++;
      const ms = performance.now() - due;
      for (const samples of measuring) samples.push(ms);
    } else failures.set(failure, (failures.get(failure) ?? 0) + 1);
    if (inFlight === 0) idle?.resolve();
  };

  const keepSending = async (own: readonly SentGroup[]): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    let due = performance.now() + Math.random() * intervalMs;
    for (let turn = 0; !stopped; turn++) {
      if (gate !== undefined) {
        await gate.promise;
        due = performance.now();
        continue;
      }
      const early = due - performance.now();
      if (early > 0) await delay(early);
      const group = own[turn % own.length];
      if (gate !== undefined || group === undefined) continue;
      await sendNext(group, agent, due);
      due = Math.max(due + intervalMs, performance.now() - MAX_BEHIND_MS);
    }
    agent.destroy();
  };

  const all = [...ledger.groups.values()];
  const running = Array.from({ length: connections }, (_, connection) =>
    keepSending(all.filter((_, index) => index % connections === connection)),
  );
  return load;
}

/** Undefined when it was answered OK, otherwise how it failed, in few words. */
function post(agent: Agent, url: string, body: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException): void => resolve(error.code ?? error.message);
    const call = request(
      `${url}?${SEARCH}`,
      {
        agent,
        method: 'POST',
        timeout: ANSWER_WITHIN_MS,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => {
          const ok = response.statusCode === 200 && text.includes('"ActionStatus":"OK"');
          resolve(ok ? undefined : `HTTP ${response.statusCode}`);
        });
        response.on('error', failed);
      },
    );
    call.on('timeout', () => call.destroy(new Error('no answer')));
    call.on('error', failed);
    call.end(body);
  });
}
