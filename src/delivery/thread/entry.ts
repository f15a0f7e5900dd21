/** The relay's thread: all lanes, on a connection to the journal that only reads. Talks to relay.ts by messages. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Host, Restoring } from '../../../connectors/contract.ts';
import { openSink } from '../../../connectors/index.ts';
import type { ConnectorConfig } from '../../config/schema.ts';
import { openReader } from '../../journal/database.ts';
import { createDeliveryReader, type Settlement } from '../../journal/deliveries.ts';
import { createGroupReader } from '../../journal/groups.ts';
import { systemClock } from '../../model/clock.ts';
import { createSignals, type SignalName, type Signals } from '../../model/signal.ts';
import { flushTraces } from '../../telemetry/trace.ts';
import { compileFilter } from '../filter.ts';
import type { Inquiry } from '../inquiries.ts';
import { startLane } from '../lane.ts';
import { createLanes } from '../lanes.ts';
import { ENDED, type Whereabouts } from '../whereabouts.ts';
import { stepBehind } from './priority.ts';

export interface RelayData {
  readonly journalFile: string;
  /** The enabled ones. */
  readonly connectors: Readonly<Record<string, ConnectorConfig>>;
}

export interface WorkerData extends RelayData {
  /** Set to 0 when an 'appended' is looked at. */
  readonly announced: Int32Array;
}

/**
 * appended: there are new events. drain: deliver what can be delivered, then end. stop: end now. exchange: see Lanes;
 * answered by 'exchanged' when it is done. The others: see Lane.
 */
export type ToRelay =
  | { readonly kind: 'appended' | 'drain' | 'stop' }
  | {
      readonly kind: 'exchange';
      readonly id: number;
      readonly ending: readonly string[];
      readonly beginning: Readonly<Record<string, ConnectorConfig>>;
    }
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
  | { readonly kind: 'exchanged'; readonly id: number }
  | { readonly kind: 'located'; readonly id: number; readonly answer: Whereabouts }
  | { readonly kind: 'ended' };

function startRelayThread({ journalFile, connectors, announced }: WorkerData): void {
  const port = parentPort;
  if (port === null) throw new TypeError('this file runs as a worker thread');
  stepBehind();
  const post = (message: FromRelay): void => port.postMessage(message);

  const signals = createSignals();
  signals.tap((name, payload) => post({ kind: 'signal', name, payload }));
  const reader = openReader(journalFile);
  const journal = createDeliveryReader(reader);
  const groups = createGroupReader(reader);
  const stop = new AbortController();

  const lanes = createLanes((connector, config, from, heard) => {
    const emit: typeof signals.emit = (name, payload) => {
      if (heard()) signals.emit(name, payload);
    };
    const note = (message: string): void => emit('lane.note', { connector, message });
    const unfiltered = Object.keys(config.filter).length === 0;
    let merged = false;
    const group: Host['group'] = (groupId) => {
      if (!merged) throw new TypeError('a sink that asks for groups is to say so: Sink.merged');
      return groups.get(groupId);
    };
    const host = { name: connector, clock: systemClock, unfiltered, group, note };
    return startLane(
      {
        connector,
        batch: config.batch,
        retry: config.retry,
        paused: journal.paused(connector),
        wants: compileFilter(config.filter),
        from,
      },
      {
        async open(signal) {
          const sink = await openSink(config.kind, config, host, signal);
          merged = sink.merged === true;
          return sink;
        },
        journal,
        groups,
        settle: (settlement) => {
          if (heard()) post({ kind: 'settled', settlement });
        },
        clock: systemClock,
        signals: { emit },
        random: Math.random,
      },
      stop.signal,
    );
  }, systemClock);
  void lanes.exchange([], connectors);

  port.on('message', (message: ToRelay) => {
    switch (message.kind) {
      case 'appended':
        // Before the lanes look: what comes after it is announced again.
        Atomics.store(announced, 0, 0);
        return lanes.wake();
      case 'drain':
        // Without any lane the thread stays all the same until it is asked to end: connectors may be added.
        lanes.drain().then(async () => {
          reader.close();
          await flushTraces();
          post({ kind: 'ended' });
          port.close();
        });
        return;
      case 'stop':
        return stop.abort();
      case 'exchange': {
        const { id, ending, beginning } = message;
        lanes.exchange(ending, beginning).then(() => post({ kind: 'exchanged', id }));
        return;
      }
      case 'pause':
        return lanes.ask(message.connector, (lane) => lane.pause());
      case 'resume':
        return lanes.ask(message.connector, (lane) => lane.resume());
      case 'restore':
        return lanes.ask(message.connector, (lane) => lane.restore(message.how, message.groupIds));
      case 'replay':
        return lanes.ask(message.connector, (lane) => lane.replay(message.cursor));
      case 'retry': {
        const letters = message.seqs.flatMap((seq) => journal.deadLetter(message.connector, seq) ?? []);
        return lanes.ask(message.connector, (lane) => lane.retry(letters));
      }
      case 'locate': {
        const { id, connector, group, withinMs } = message;
        const asked = lanes.running(connector)?.locate(group, AbortSignal.timeout(withinMs));
        void (asked ?? Promise.resolve({ fault: ENDED })).then((answer) => post({ kind: 'located', id, answer }));
        return;
      }
    }
  });
}

startRelayThread(workerData as WorkerData);
