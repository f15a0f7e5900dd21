/** The relay's thread: all lanes, on a connection to the journal that only reads. Talks to relay.ts by messages. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Restoring } from '../../connectors/contract.ts';
import { openSink } from '../../connectors/index.ts';
import { systemClock } from '../canon/clock.ts';
import { createSignals, type SignalName, type Signals } from '../canon/signal.ts';
import type { ConnectorConfig } from '../config/schema.ts';
import { openReader } from '../journal/database.ts';
import { createDeliveryReader, type Settlement } from '../journal/deliveries.ts';
import { createGroupReader } from '../journal/groups.ts';
import { compileFilter } from './filter.ts';
import type { Inquiry } from './inquiries.ts';
import { type Lane, startLane } from './lane.ts';
import { ENDED, type Whereabouts } from './whereabouts.ts';

export interface RelayData {
  readonly journalFile: string;
  readonly connectors: Readonly<Record<string, ConnectorConfig>>;
}

/** appended: there are new events. drain: deliver what can be delivered, then end. stop: end now. The others: see Lane. */
export type ToRelay =
  | { readonly kind: 'appended' | 'drain' | 'stop' }
  | { readonly kind: 'pause' | 'resume'; readonly connector: string }
  | {
      readonly kind: 'restore';
      readonly connector: string;
      readonly how: Restoring;
      readonly groupIds?: readonly string[] | undefined;
    }
  | { readonly kind: 'replay'; readonly connector: string; readonly cursor: number }
  | { readonly kind: 'retry'; readonly connector: string; readonly seqs: readonly number[] }
  | ({ readonly kind: 'locate' } & Inquiry);

export type FromRelay =
  | { readonly kind: 'settled'; readonly settlement: Settlement }
  | { readonly kind: 'signal'; readonly name: SignalName; readonly payload: Signals[SignalName] }
  | { readonly kind: 'located'; readonly id: number; readonly answer: Whereabouts }
  | { readonly kind: 'ended' };

function startRelayThread({ journalFile, connectors }: RelayData): void {
  const port = parentPort;
  if (port === null) throw new TypeError('this file runs as a worker thread');
  const post = (message: FromRelay): void => port.postMessage(message);

  const signals = createSignals();
  signals.tap((name, payload) => post({ kind: 'signal', name, payload }));
  const reader = openReader(journalFile);
  const journal = createDeliveryReader(reader);
  const groups = createGroupReader(reader);
  const stop = new AbortController();

  const lanes = new Map<string, Lane>(
    Object.entries(connectors)
      .filter(([, config]) => config.enabled)
      .map(([connector, config]): [string, Lane] => {
        const note = (message: string): void => signals.emit('lane.note', { connector, message });
        const host = { name: connector, clock: systemClock, group: groups.get, note };
        const lane = startLane(
          {
            connector,
            batch: config.batch,
            retry: config.retry,
            paused: journal.paused(connector),
            wants: compileFilter(config.filter),
          },
          {
            open: (signal) => openSink(config.kind, config, host, signal),
            journal,
            groups,
            settle: (settlement) => post({ kind: 'settled', settlement }),
            clock: systemClock,
            signals,
            random: Math.random,
          },
          stop.signal,
        );
        return [connector, lane];
      }),
  );

  port.on('message', (message: ToRelay) => {
    switch (message.kind) {
      case 'appended':
        for (const lane of lanes.values()) lane.wake();
        return;
      case 'drain':
        for (const lane of lanes.values()) lane.drain();
        return;
      case 'stop':
        stop.abort();
        return;
      case 'pause':
        return lanes.get(message.connector)?.pause();
      case 'resume':
        return lanes.get(message.connector)?.resume();
      case 'restore':
        return lanes.get(message.connector)?.restore(message.how, message.groupIds);
      case 'replay':
        return lanes.get(message.connector)?.replay(message.cursor);
      case 'retry': {
        const letters = message.seqs.flatMap((seq) => journal.deadLetter(message.connector, seq) ?? []);
        return lanes.get(message.connector)?.retry(letters);
      }
      case 'locate': {
        const { id, connector, group, withinMs } = message;
        const asked = lanes.get(connector)?.locate(group, AbortSignal.timeout(withinMs));
        void (asked ?? Promise.resolve({ fault: ENDED })).then((answer) => post({ kind: 'located', id, answer }));
        return;
      }
    }
  });
  Promise.all([...lanes.values()].map((lane) => lane.ended)).then(() => {
    reader.close();
    post({ kind: 'ended' });
    port.close();
  });
}

startRelayThread(workerData as RelayData);
