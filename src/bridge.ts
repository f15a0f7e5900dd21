import { statSync } from 'node:fs';
import type { Server } from 'node:http';
import { systemClock } from './canon/clock.ts';
import { BridgeError } from './canon/fault.ts';
import { createSignals } from './canon/signal.ts';
import { type Config, toAddressList } from './config/schema.ts';
import { createReceiver } from './intake/receiver.ts';
import { closeServer, listen } from './intake/server.ts';
import { openJournal } from './journal/append.ts';
import { openDatabase } from './journal/database.ts';
import { createDeliveryReader } from './journal/deliveries.ts';
import { startRelay } from './relay/relay.ts';
import { createApi } from './watch/api.ts';
import { createLogger, type LogLevel, logSignals } from './watch/log.ts';
import { createMetrics } from './watch/metrics.ts';

export interface Bridge {
  /** Where callbacks are received, with the real port: `http://0.0.0.0:8080/callback`. */
  readonly receiverUrl: string;
  readonly adminUrl: string;
  /** Names of the enabled connectors. */
  readonly connectors: readonly string[];
  /** Answers what is in flight, drains what it can within a few seconds, closes. Safe to call twice. */
  stop(reason: string): Promise<void>;
}

/** How long requests in flight may take to end, and then deliveries, once the bridge is told to stop. */
const IN_FLIGHT_MS = 2_500;
const DRAIN_MS = 5_000;

/** Builds the rooms in the order of an event's way; `stop` takes them down in the same order, so that nothing recorded is left behind. */
export async function startBridge(config: Config, logLevel: LogLevel = 'info'): Promise<Bridge> {
  const clock = systemClock;
  const signals = createSignals();
  logSignals(signals, createLogger(logLevel));

  const database = openDatabase(config.journal.file);
  const journal = openJournal(database, clock, signals);
  const deliveries = createDeliveryReader(database.connection);
  const connectors = Object.keys(config.connectors).filter((name) => config.connectors[name]?.enabled);
  const cursors = new Map(connectors.map((name) => [name, deliveries.cursor(name)]));
  signals.on('lane.cursor', ({ connector, cursor }) => cursors.set(connector, cursor));

  let stopping = false;
  let unrecordable: string | undefined;
  signals.on('journal.failed', ({ fault }) => {
    unrecordable = fault.message;
  });
  signals.on('journal.committed', () => {
    unrecordable = undefined;
  });

  const metrics = createMetrics(signals, clock, {
    connectors,
    head: journal.head,
    cursor: (connector) => cursors.get(connector) ?? 0,
    deadLetters: deliveries.deadLetters,
    journalBytes: () => bytesOf(config.journal.file) + bytesOf(`${config.journal.file}-wal`),
  });
  const receiver = createReceiver(
    {
      sdkAppId: config.app.sdkAppId,
      callbackTokens: config.app.callbackTokens,
      path: config.receiver.path,
      maxBodyBytes: config.receiver.maxBodyBytes,
      allowed: config.receiver.allowFrom && toAddressList(config.receiver.allowFrom),
      otherCommands: config.receiver.otherCommands,
    },
    { record: journal.record, clock, signals, stopping: () => stopping },
  );
  const api = createApi({
    metrics,
    readiness: () => {
      const reason = stopping ? 'the bridge is stopping' : unrecordable;
      return reason === undefined ? { ready: true } : { ready: false, reason };
    },
  });

  const opened: Server[] = [];
  const serve = async (setting: string, start: () => Promise<{ server: Server; port: number }>): Promise<number> => {
    try {
      const { server, port } = await start();
      opened.push(server);
      return port;
    } catch (thrown) {
      for (const server of opened) server.close();
      journal.close();
      if (thrown instanceof BridgeError) throw new BridgeError({ ...thrown.fault, path: setting }, thrown);
      throw thrown;
    }
  };
  const { host, port, path } = config.receiver;
  const receiverPort = await serve('receiver.port', () => listen(receiver.fetch, host, port));
  const adminPort = await serve('admin.port', () => listen(api.fetch, config.admin.host, config.admin.port));

  const relay = startRelay(
    { journalFile: config.journal.file, connectors: config.connectors },
    journal.settle,
    signals,
  );
  signals.on('journal.committed', relay.wake);

  const receiverUrl = `http://${urlHost(host)}:${receiverPort}${path}`;
  const adminUrl = `http://${urlHost(config.admin.host)}:${adminPort}`;
  signals.emit('bridge.started', { receiver: receiverUrl, admin: adminUrl, connectors, journal: config.journal.file });

  let stopped: Promise<void> | undefined;
  const stop = async (reason: string): Promise<void> => {
    stopping = true;
    signals.emit('bridge.stopping', { reason });
    await Promise.all(opened.map((server) => closeServer(server, IN_FLIGHT_MS)));
    await relay.stop(DRAIN_MS);
    journal.close();
    signals.emit('bridge.stopped', {});
  };
  return {
    receiverUrl,
    adminUrl,
    connectors,
    stop: (reason) => {
      stopped ??= stop(reason);
      return stopped;
    },
  };
}

function bytesOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
