/** Notifies people of the verdict without Prometheus: a POST in the form of a Slack webhook, with the verdict added. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import type { Clock } from '../model/clock.ts';
import { messageOf } from '../model/fault.ts';
import type { SignalBus } from '../model/signal.ts';
import { type Sentence, sentence, TONES, type Tone } from '../model/verdict.ts';

/** The shortest time between two notifications to one address; the later one covers what changed meanwhile. */
const EVERY_MS = 60_000;
const ANSWER_MS = 10_000;

const message = z.object({ text: z.string(), at: z.string(), app: z.string(), recording: sentence, copies: sentence });
/** The unsent message of each address. */
const outbox = z.record(z.string(), message);

interface NotifyPorts {
  /** Returns who is to be notified of which verdicts now. */
  settings(): readonly { readonly url: string; readonly on: readonly Tone[] }[];
  readonly sdkAppId: string;
  /** A file next to it keeps unsent messages across restarts. */
  readonly journalFile: string;
  readonly clock: Clock;
  readonly signals: SignalBus;
  readonly stopping: AbortController;
}

export function keepNotifying(ports: NotifyPorts): void {
  const { settings, sdkAppId, clock, signals } = ports;
  const stopping = ports.stopping.signal;
  const file = `${ports.journalFile}.notify.json`;
  const waiting = new Map(Object.entries(readOutbox(file)));
  const wanted = (): Set<string> => new Set(settings().map(({ url }) => url));
  const keep = (): void => {
    try {
      writeFileSync(`${file}.new`, JSON.stringify(Object.fromEntries(waiting)), { mode: 0o600 });
      renameSync(`${file}.new`, file);
    } catch {
      // On a full disk a message is lost only if the bridge restarts before it is sent.
    }
  };
  const sending = new Set<string>();

  const send = async (url: string): Promise<void> => {
    if (sending.has(url)) return;
    sending.add(url);
    for (let next = waiting.get(url); next !== undefined && !stopping.aborted; next = waiting.get(url)) {
      if (!wanted().has(url)) waiting.delete(url);
      else if ((await post(url, next)) && waiting.get(url) === next) waiting.delete(url);
      keep();
      await clock.sleep(EVERY_MS, stopping);
    }
    sending.delete(url);
  };
  const post = async (url: string, body: z.output<typeof message>): Promise<boolean> => {
    try {
      const signal = AbortSignal.any([AbortSignal.timeout(ANSWER_MS), stopping]);
      const headers = { 'content-type': 'application/json' };
      // A redirect, which would be followed by GET, leads to a sign-in page or to somebody that this is not for.
      const request = { method: 'POST', headers, body: JSON.stringify(body), redirect: 'manual', signal } as const;
      const answer = await fetch(url, request);
      await answer.body?.cancel();
      if (answer.ok) return true;
      throw new Error(`it answers ${answer.status}`);
    } catch (thrown) {
      // Only the origin is told: the rest of an address may be a secret.
      if (!stopping.aborted) signals.emit('notify.failed', { to: new URL(url).origin, message: messageOf(thrown) });
      return false;
    }
  };

  signals.on('verdict.changed', ({ recording, copies }) => {
    const tone = TONES[Math.max(TONES.indexOf(recording.tone), TONES.indexOf(copies.tone))] ?? 'red';
    const told = settings().filter(({ on }) => on.includes(tone));
    for (const { url } of told) waiting.set(url, toMessage(recording, copies, sdkAppId, clock.now()));
    if (told.length > 0) keep();
    for (const { url } of told) void send(url);
  });
  for (const url of waiting.keys()) void send(url);
}

function toMessage(recording: Sentence, { tone, says }: Sentence, app: string, now: number): z.output<typeof message> {
  const text = `group-sync-bridge, app ${app}: ${recording.says}. ${says}.`;
  return { text, at: new Date(now).toISOString(), app, recording, copies: { tone, says } };
}

function readOutbox(file: string): z.output<typeof outbox> {
  try {
    return outbox.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return {};
  }
}
