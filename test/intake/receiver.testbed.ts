/** The receiver on a real journal in this process, served on loopback. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { closeServer, listen } from '../../src/http/server.ts';
import { signOf } from '../../src/intake/authentication.ts';
import type { ReceiverPorts, ReceiverSettings } from '../../src/intake/context.ts';
import { malformedEnvelope } from '../../src/intake/context.ts';
import { createReceiver } from '../../src/intake/receiver.ts';
import { openJournal } from '../../src/journal/append.ts';
import { openDatabase } from '../../src/journal/database.ts';
import { createDeliveryReader } from '../../src/journal/reads.ts';
import type { QuarantinedCallback } from '../../src/model/callback.ts';
import { systemClock } from '../../src/model/clock.ts';
import type { CanonicalEvent } from '../../src/model/event.ts';
import { createSignals, type SignalBus, type Signals } from '../../src/model/signal.ts';
import { traceCallback } from '../../src/telemetry/trace.ts';
import { body, SDK_APP_ID, search } from '../support/callbacks.ts';

export const NOW = 1_700_000_030_000;
export const OK = { ActionStatus: 'OK', ErrorInfo: '', ErrorCode: 0 };

export interface Receiver {
  readonly origin: string;
  readonly port: number;
  readonly signals: SignalBus;
  post(callback?: {
    search?: string;
    body?: string | Buffer;
    headers?: Record<string, string>;
  }): Promise<{ status: number; json: unknown }>;
  /** Every event on disk, in journal order. */
  recorded(): CanonicalEvent[];
  readonly answered: Signals['callback.answered'][];
  /** Every callback in the quarantine, in the order of receipt. */
  quarantined(): QuarantinedCallback[];
  close(): Promise<void>;
}

/** The receiver on a real journal; ports replace what a test wants otherwise: a journal that fails, a server with limits. */
export async function startReceiver(
  changes: Partial<ReceiverSettings> = {},
  { serve = listen, ...ports }: Partial<ReceiverPorts> & { serve?: typeof listen } = {},
): Promise<Receiver> {
  const folder = mkdtempSync(join(tmpdir(), 'receiver-'));
  const clock = { ...systemClock, now: () => NOW };
  const signals = createSignals();
  const answered: Signals['callback.answered'][] = [];
  signals.on('callback.answered', (payload) => answered.push(payload));
  const database = openDatabase(join(folder, 'journal.db'));
  const journal = openJournal(database, clock, signals);
  const app = createReceiver(
    {
      sdkAppId: SDK_APP_ID,
      path: '/callback',
      maxBodyBytes: 65_536,
      maxInFlight: 2_000,
      drop: ['MemberList'],
      sign: undefined,
      allowed: undefined,
      rate: undefined,
      healthPath: undefined,
      allowService: false,
      refuseBefore: 403,
      proxies: undefined,
      forwardAll: false,
      allowBefore: new Set(),
      rejectsOthers: false,
      whenUnrecordable: 'fail',
      ...changes,
    },
    {
      record: journal.record,
      quarantine: journal.quarantine,
      clock,
      signals,
      stopping: () => false,
      trace: traceCallback,
      ...ports,
    },
  );
  const { server, port } = await serve(app.fetch, {
    section: 'receiver',
    host: '127.0.0.1',
    port: 0,
    keepAliveMs: 620_000,
    maxConnections: 1_000,
    signals,
    malformedBody: malformedEnvelope,
  });
  const origin = `http://127.0.0.1:${port}`;
  const reader = createDeliveryReader(database.connection);
  return {
    origin,
    port,
    signals,
    answered,
    async post({ search: query = search(), body: payload = body(), headers = {} } = {}) {
      const response = await fetch(`${origin}/callback?${query}`, { method: 'POST', body: payload, headers });
      return { status: response.status, json: await response.json() };
    },
    quarantined: () => reader.quarantined(0, 1_000),
    recorded: () => reader.read(0, 1_000).map(({ event }) => event),
    async close() {
      await closeServer(server, 100);
      journal.close();
      rmSync(folder, { recursive: true });
    },
  };
}

export const SIGN = { tokens: ['xxxxyyyy'], windowMs: 60_000 };

/** Returns a signed query. */
export function signed(changes: Record<string, string | undefined> = {}): string {
  const RequestTime = String(NOW / 1000);
  return search({ Sign: signOf('xxxxyyyy', RequestTime), RequestTime, ...changes });
}

export const fail = (status: number, info: RegExp) => ({
  status,
  json: { ActionStatus: 'FAIL', ErrorInfo: expect.stringMatching(info), ErrorCode: status },
});
