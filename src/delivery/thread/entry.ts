/** The delivery thread: all lanes, with a read-only connection to the journal. Talks to host.ts by messages. */
import { hash } from 'node:crypto';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { holdsOf, openSink, placesOf } from '../../../connectors/index.ts';
import type { ConnectorConfig } from '../../config/schema.ts';
import { openReader } from '../../journal/database.ts';
import { createJournalSource, waitingEntries } from '../../journal/deliveries.ts';
import { createGroupReader } from '../../journal/groups.ts';
import { createDeliveryReader } from '../../journal/reads.ts';
import { systemClock } from '../../model/clock.ts';
import type { CopyState } from '../../model/copy.ts';
import { createSignals } from '../../model/signal.ts';
import { flushTraces, traceDelivery } from '../../telemetry/trace.ts';
import { compileFilter } from '../filter.ts';
import { type LaneRequest, startLane } from '../lane.ts';
import { createLanes, type StartOne } from '../lanes.ts';
import { ENDED } from '../read-back.ts';
import { createUpkeep } from '../upkeep.ts';
import type { DeliveryRequest, FromThread, ThreadData, ToThread } from './messages.ts';
import { lowerThreadPriority } from './priority.ts';

function startThread(port: MessagePort, { journalFile, source: app, connectors, announced }: ThreadData): void {
  lowerThreadPriority();
  const post = (message: FromThread): void => port.postMessage(message);
  const signals = createSignals();
  signals.tap((name, payload) => post({ kind: 'signal', name, payload }));
  const connection = openReader(journalFile);
  const journal = createDeliveryReader(connection);
  const groups = createGroupReader(connection);
  const stop = new AbortController();
  /** What lanes have reported, newer than the journal. */
  const copies = new Map<string, CopyState>();

  const startOne: StartOne = (connector, config, from, heard) => {
    const emit: typeof signals.emit = (name, payload) => {
      if (heard()) signals.emit(name, payload);
    };
    const holds = holdsOf(config);
    const note = (message: string): void => emit('lane.note', { connector, message });
    const upkeep = createUpkeep(config, {
      scope: hash('sha256', JSON.stringify(scopeOf(config))),
      load: () => copies.get(connector) ?? journal.copy(connector),
      save(state) {
        if (!heard()) return;
        copies.set(connector, state);
        post({ kind: 'copy', connector, state });
      },
      groups,
      events: {
        ...journal,
        isOpen: (seq) => journal.openDelivery(connector, seq) !== undefined || journal.isDiscarded(connector, seq),
      },
      missed: () => journal.missed(connector),
      note,
    });
    const host = {
      name: connector,
      clock: systemClock,
      source: app,
      note,
      created(message: string): void {
        note(message);
        upkeep.made(message);
      },
    };
    const source = createJournalSource(connector, holds, {
      reader: journal,
      clock: systemClock,
      post(report) {
        if (heard()) post({ kind: 'settled', report });
      },
    });
    const waiting = () => waitingEntries(journal, connector, systemClock, config.retry.maxMs);
    return startLane(
      { connector, batch: config.batch, retry: config.retry, filter: compileFilter(config.filter, config.shape) },
      {
        source,
        open: (signal) => openSink(config, host, signal),
        groups,
        upkeep,
        // Cleared before a lane looks, so that what comes later is announced again.
        woken: () => void Atomics.store(announced, 0, 0),
        trace: traceDelivery,
        clock: systemClock,
        signals: { emit },
        random: Math.random,
      },
      {
        paused: journal.paused(connector),
        from: from ?? { cursor: journal.cursor(connector), waiting: waiting() },
      },
      stop.signal,
    );
  };
  const lanes = createLanes(startOne, systemClock, journal.has);
  void lanes.exchange([], connectors);

  const toLane = (connector: string, request: DeliveryRequest): LaneRequest => {
    if (request.kind !== 'retry') return request;
    return { kind: 'retry', entries: request.seqs.flatMap((seq) => journal.deadLetterEntry(connector, seq) ?? []) };
  };

  port.on('message', (message: ToThread) => {
    switch (message.kind) {
      case 'appended':
        return lanes.wake();
      case 'drain':
        // Even without lanes the thread stays until it is asked to end: connectors may be added.
        lanes.drain().then(async () => {
          connection.close();
          await flushTraces();
          post({ kind: 'ended' });
          port.close();
        });
        return;
      case 'stop':
        return stop.abort();
      case 'exchange': {
        const { id, ending, beginning } = message;
        return void lanes.exchange(ending, beginning).then(() => post({ kind: 'answered', id, answer: {} }));
      }
      case 'request': {
        const { id, connector, request } = message;
        return void lanes.ask(connector, toLane(connector, request)).then(() => post({ kind: 'done', id }));
      }
      case 'read-back': {
        const { id, connector, group, withinMs } = message;
        const asked = lanes.running(connector)?.readBack(group, AbortSignal.timeout(withinMs));
        return void Promise.resolve(asked ?? { fault: ENDED }).then((answer) => post({ kind: 'answered', id, answer }));
      }
    }
  });
}

/** Places count for a module's connector only: built-in ones identify their destination themselves. */
function scopeOf(config: ConnectorConfig): unknown[] {
  const places = config.module === undefined ? [] : placesOf(config).map(({ name }) => name);
  return [config.filter, config.shape, ...places];
}

if (parentPort === null) throw new TypeError('this file runs as a worker thread');
startThread(parentPort, workerData as ThreadData);
