import { setTimeout as delay } from 'node:timers/promises';
import { ELASTICSEARCH, KAFKA, startBenchBridge } from '../bridge.ts';
import type { Bench } from '../context.ts';
import { BRIDGE } from '../figures.ts';
import { memoryMb } from '../processes.ts';
import { noteFailures } from './measure.ts';

const DRAIN_WITHIN_MS = 30 * 60_000;
const PROGRESS_MS = 5_000;

/** Both connectors are paused while a backlog builds up, then drain it: the rate of each, and the bridge's memory. */
export async function measureBacklog(bench: Bench): Promise<void> {
  const { load, options, figures, print } = bench;
  const events = options.backlogEvents;
  print(`bridge: a backlog of ${events}`);
  const bridge = await startBenchBridge(bench);
  const { warmUpMs } = options;
  await load.load({ url: bridge.url, ms: warmUpMs, rate: 1_000 });
  await bridge.inStep(DRAIN_WITHIN_MS);
  const before = memoryMb(bridge.pid).now;
  for (const connector of [KAFKA, ELASTICSEARCH]) await bridge.pause(connector);
  const filled = await load.load({ url: bridge.url, ms: DRAIN_WITHIN_MS, count: events });
  noteFailures(bench, BRIDGE, filled);
  const whileFilling = memoryMb(bridge.pid).peak;
  const subject = BRIDGE;
  figures.add({
    subject,
    name: 'acknowledged/s, connectors paused',
    value: filled.perSecond,
    unit: '/s',
    means: `while a backlog of ${events} builds up: recording alone`,
  });

  const start = performance.now();
  for (const connector of [KAFKA, ELASTICSEARCH]) await bridge.resume(connector);
  const drained = new Map<string, number>();
  let shownAt = start;
  while (drained.size < 2 && performance.now() - start < DRAIN_WITHIN_MS) {
    const lags = await bridge.lags();
    for (const [connector, lag] of Object.entries(lags))
      if (lag === 0 && !drained.has(connector)) drained.set(connector, performance.now() - start);
    if (performance.now() - shownAt > PROGRESS_MS) {
      shownAt = performance.now();
      print(
        `  ${Object.entries(lags)
          .map(([connector, lag]) => `${connector} ${lag} behind`)
          .join(', ')}`,
      );
    }
    await delay(100);
  }
  for (const [name, connector] of [
    ['Kafka', KAFKA],
    ['Elasticsearch', ELASTICSEARCH],
  ] as const) {
    const ms = drained.get(connector) ?? Number.NaN;
    figures.add({
      subject,
      name: `drained into ${name}`,
      value: (events * 1_000) / ms,
      unit: '/s',
      means: `a backlog of ${events}, both connectors at once`,
    });
  }
  const memory = memoryMb(bridge.pid);
  figures.add({
    subject,
    name: 'memory before the backlog',
    value: before,
    unit: 'MB',
    means: 'resident, warmed up and in step',
  });
  figures.add({
    subject,
    name: 'memory at most, building it up',
    value: whileFilling,
    unit: 'MB',
    means: 'resident, the highest until then',
  });
  figures.add({
    subject,
    name: 'memory at most, draining it',
    value: memory.peak,
    unit: 'MB',
    means: 'resident, the highest until then',
  });
  await bridge.close();
}
