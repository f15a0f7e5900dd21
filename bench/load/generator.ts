/** Load on raw keep-alive sockets, one callback in flight on each: as little work a request as Node allows. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { createRequestBuffer } from './callbacks.ts';
import type { LoadOrder, LoadResult } from './order.ts';

/** Latencies in microseconds, three significant figures, up to ten minutes. */
const newHistogram = (): RecordableHistogram => createHistogram({ lowest: 1, highest: 600_000_000, figures: 3 });

/** The time that the last callbacks may take to be answered. */
const ANSWER_WITHIN_MS = 20_000;

interface Connection {
  readonly socket: Socket;
  /** The time at which the callback in flight was due (in closed loops: sent), in ms of performance.now(). */
  due: number;
  send(due: number): void;
}

/** Runs one load to its end: all that was sent is answered, failed or given up. */
export async function runLoad(order: LoadOrder): Promise<LoadResult> {
  const url = new URL(order.url);
  const histogram = newHistogram();
  const cpu = process.cpuUsage();
  const run = order.run;
  let number = order.firstNumber;
  let ok = 0;
  let okInWarmUp = 0;
  let bytesAhead = 0;
  const failures = new Map<string, number>();
  let over = false;
  let inFlight = 0;
  let measureFrom = 0;
  let lastAnswerAt = 0;
  const drained = Promise.withResolvers<void>();
  const fail = (why: string): void => void failures.set(why, (failures.get(why) ?? 0) + 1);

  let idle: Connection[] = [];
  /** Called when a connection has nothing in flight. */
  let turn: (connection: Connection) => void = () => {};

  const settle = (connection: Connection): void => {
    inFlight--;
    lastAnswerAt = performance.now();
    if (over && inFlight === 0) drained.resolve();
    turn(connection);
  };

  const open = async (): Promise<Connection> => {
    const socket = connect({
      host: url.hostname,
      port: Number(url.port),
      noDelay: true,
      onread: { buffer: Buffer.allocUnsafe(16_384), callback: (size, chunk) => read(size, chunk) },
    });
    const request = createRequestBuffer(url, run);
    let sending = false;
    let rest = '';
    const answered = (status: string, isOk: boolean): void => {
      sending = false;
      if (isOk) {
        if (connection.due >= measureFrom) {
          histogram.record(Math.max(1, Math.round((performance.now() - connection.due) * 1_000)));
          ok++;
        } else okInWarmUp++;
      } else fail(status);
      settle(connection);
    };
    const read = (size: number, chunk: Uint8Array): boolean => {
      const text = rest + (chunk as Buffer).toString('latin1', 0, size);
      const end = answerEnd(text);
      if (end === undefined) rest = text;
      else {
        rest = '';
        if (end !== text.length) bytesAhead += text.length - end;
        const isOk = text.startsWith('HTTP/1.1 200') && (!order.envelope || saysOk(text));
        answered(`HTTP ${text.slice(9, 12)}`, isOk);
      }
      return true;
    };
    const connection: Connection = {
      socket,
      due: 0,
      send(due) {
        connection.due = due;
        sending = true;
        inFlight++;
        const dueAt = Math.round((performance.timeOrigin + due) * 1_000);
        const sent = number++;
        socket.write(request.next(sent % order.groups, sent, dueAt, Math.floor(dueAt / 1_000)));
      },
    };
    let why = 'closed';
    socket.on('error', (error: NodeJS.ErrnoException) => {
      why = error.code ?? error.message;
    });
    await once(socket, 'connect');
    socket.on('close', () => {
      connections.delete(connection);
      if (sending) {
        fail(why);
        inFlight--;
        if (over && inFlight === 0) drained.resolve();
      } else idle = idle.filter((one) => one !== connection);
      if (!over) replace();
    });
    connections.add(connection);
    return connection;
  };
  /** Servers close what was idle for a while: what is sent there would never be answered. */
  const replace = (): void => {
    open().then(
      (connection) => (over ? connection.socket.destroy() : turn(connection)),
      () => {},
    );
  };

  const connections = new Set<Connection>();
  await Promise.all(Array.from({ length: order.connections }, open));
  const startedAt = performance.now();
  measureFrom = startedAt + order.warmUpMs;
  const endAt = measureFrom + order.ms;
  const most = order.count ?? Number.POSITIVE_INFINITY;

  if (order.rate === undefined) {
    turn = (connection) => {
      const now = performance.now();
      if (now < endAt && number - order.firstNumber < most) connection.send(now);
      else over = true;
    };
    for (const connection of connections) turn(connection);
    while (!over && performance.now() < endAt) await delay(10);
    over = true;
  } else {
    await openLoop(order.rate);
  }

  /** Each callback is due at its time, whatever became of those before it; it waits here while no connection is free. */
  async function openLoop(rate: number): Promise<void> {
    const interval = 1_000 / rate;
    idle.push(...connections);
    let due = startedAt;
    const sendDue = (): void => {
      if (over) return;
      const now = performance.now();
      while (due <= now && due < endAt) {
        const connection = idle.pop();
        if (connection === undefined) return;
        connection.send(due);
        due += interval;
      }
    };
    turn = (connection) => {
      idle.push(connection);
      sendDue();
    };
    while (due < endAt && performance.now() < endAt + ANSWER_WITHIN_MS) {
      sendDue();
      const early = Math.min(due, endAt) - performance.now();
      await delay(Math.max(1, early));
    }
    // Left out of the latencies, so they must not be left out of sight.
    const neverSent = Math.floor((endAt - due) / interval);
    if (neverSent > 0) failures.set('never sent, too late', neverSent);
    over = true;
  }

  const gaveUp = setTimeout(() => drained.resolve(), ANSWER_WITHIN_MS);
  if (inFlight > 0) await drained.promise;
  clearTimeout(gaveUp);
  const measuredMs = Math.max(lastAnswerAt, measureFrom + 1) - measureFrom;
  if (inFlight > 0) failures.set('no answer', inFlight);
  for (const { socket } of connections) socket.destroy();
  if (bytesAhead > 0) fail('more bytes than one answer');
  const { user, system } = process.cpuUsage(cpu);
  const ms = (percentile: number): number => (ok === 0 ? Number.NaN : histogram.percentile(percentile) / 1_000);
  return {
    ok,
    okInWarmUp,
    sent: number - order.firstNumber,
    failures: Object.fromEntries(failures),
    measuredMs,
    perSecond: (ok * 1_000) / measuredMs,
    p50: ms(50),
    p99: ms(99),
    p999: ms(99.9),
    max: ok === 0 ? Number.NaN : histogram.max / 1_000,
    cpuMs: (user + system) / 1_000,
  };
}

const ENVELOPE = '"ActionStatus":"OK"';

/** Chunked answers may be cut in the middle of it. */
function saysOk(text: string): boolean {
  return text.includes(ENVELOPE) || text.replace(/\r\n[0-9a-f]+\r\n/gi, '').includes(ENVELOPE);
}

const LENGTH = 'content-length: ';

/** Returns the end of the answer at the start of `text`, undefined while it is incomplete. */
function answerEnd(text: string): number | undefined {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  let at = text.indexOf(LENGTH);
  if (at < 0 || at > headEnd) at = text.indexOf('Content-Length: ');
  let end = headEnd + 4;
  if (at >= 0 && at < headEnd) {
    let length = 0;
    for (let place = at + LENGTH.length; text.charCodeAt(place) >= 48; place++) {
      length = length * 10 + text.charCodeAt(place) - 48;
    }
    end += length;
  } else if (/transfer-encoding: chunked/i.test(text.slice(0, headEnd))) {
    const last = text.indexOf('0\r\n\r\n', headEnd + 2);
    if (last < 0) return undefined;
    end = last + 5;
  }
  return end <= text.length ? end : undefined;
}
