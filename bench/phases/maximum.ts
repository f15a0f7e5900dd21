import { ELASTICSEARCH, KAFKA, startBenchBridge } from '../bridge.ts';
import type { Bench } from '../context.ts';
import { ACKNOWLEDGED, BRIDGE } from '../figures.ts';
import { memoryMb } from '../processes.ts';
import { cpuOf, noteFailures, sample } from './measure.ts';

/** Closed loop: the most that the bridge acknowledges while both connectors deliver. */
export async function measureMaximum(bench: Bench): Promise<void> {
  const { load, options, figures, print } = bench;
  print('bridge: closed loop, both connectors deliver');
  const bridge = await startBenchBridge(bench);
  const atStart = memoryMb(bridge.pid).now;
  const { ms, warmUpMs } = options;
  const samples = sample(bridge.lags, 500);
  let lags: Readonly<Record<string, number>>[] = [];
  const { result, bridgeMs, allMs, catchUpMs } = await cpuOf(bench, bridge, async () => {
    const done = await load.load({ url: bridge.url, ms, warmUpMs });
    lags = await samples();
    return done;
  });
  const subject = BRIDGE;
  const means =
    'answers in a closed loop over 64 connections and 2,000 groups; an OK means recorded on disk, both connectors deliver meanwhile';
  noteFailures(bench, BRIDGE, result);
  figures.add({ subject, name: ACKNOWLEDGED, value: result.perSecond, unit: '/s', means });
  figures.addLatency(subject, 'at most', result, 'answer under that load, from when it was sent');
  for (const [name, connector] of [
    ['Kafka', KAFKA],
    ['Elasticsearch', ELASTICSEARCH],
  ] as const) {
    const last = lags.at(-1)?.[connector] ?? Number.NaN;
    figures.add({
      subject,
      name: `${name} behind at the end`,
      value: last,
      unit: 'events',
      means: 'recorded and not delivered yet when that load ends',
    });
  }
  figures.add({
    subject,
    name: 'caught up after',
    value: catchUpMs / 1_000,
    unit: 's',
    means: 'from the last answer of that load until both copies hold everything',
  });
  const per = 'user and system time per 1,000 callbacks under that load, until both copies hold them';
  figures.add({ subject, name: 'CPU per 1,000 at most', value: bridgeMs, unit: 'ms', means: `of the bridge: ${per}` });
  figures.add({
    subject,
    name: 'CPU per 1,000 at most, all',
    value: allMs.ms,
    unit: 'ms',
    means: `${allMs.of}: ${per}`,
  });
  const memory = memoryMb(bridge.pid);
  figures.add({
    subject,
    name: 'memory at the start',
    value: atStart,
    unit: 'MB',
    means: 'resident, of an empty bridge that is ready',
  });
  figures.add({
    subject,
    name: 'memory at most',
    value: memory.peak,
    unit: 'MB',
    means: 'resident, the highest under that load',
  });
  await bridge.close();
}
