import { randomUUID } from 'node:crypto';
import type { Bench } from '../context.ts';
import { countCopies, createCopies, removeCopies } from '../copies.ts';
import { ACKNOWLEDGED } from '../figures.ts';
import { GROUPS } from '../load/load.ts';
import { PEERS } from '../peers/index.ts';
import { cpuMs, memoryMb } from '../processes.ts';
import { atRate, LOW_RATE } from './cost.ts';
import { noteFailures } from './measure.ts';

/** Other ways to write both copies, under the same load on the same servers. */
export async function measurePeers(bench: Bench): Promise<void> {
  const { load, options, figures, closing, servers, print } = bench;
  for (const name of options.peers) {
    const peer = PEERS.find((one) => one.name === name);
    if (peer === undefined)
      throw new TypeError(`--peers: ${name} is none of ${PEERS.map((one) => one.name).join(', ')}`);
    const missing = await peer.missing();
    if (missing !== undefined) {
      print(`${peer.title}: not run here: ${missing}`);
      continue;
    }
    const copies = { topic: `bench.${randomUUID()}`, index: `bench-${randomUUID()}` };
    const { brokers } = servers.kafka;
    const { url: elasticsearchUrl } = servers.elasticsearch;
    print(`${peer.title}: starting`);
    const removeAll = closing.add(() => removeCopies(servers, copies));
    await createCopies(servers, copies);
    const running = await peer.start({ brokers, elasticsearchUrl, ...copies }, print);
    const closePeer = closing.add(running.close);
    print(`${peer.title}: closed loop, then a fixed rate`);
    const { envelope } = peer;
    const { ms, warmUpMs } = options;
    const before = cpuMs(running.pid);
    const most = await load.load({ url: running.url, ms, warmUpMs: 2 * warmUpMs, envelope });
    const cpu = ((cpuMs(running.pid) - before) * 1_000) / (most.ok + most.okInWarmUp);
    noteFailures(bench, peer.title, most);
    const subject = peer.title;
    const means = `answers in a closed loop over 64 connections; an OK means ${peer.means}`;
    figures.add({ subject, name: ACKNOWLEDGED, value: most.perSecond, unit: '/s', means });
    figures.addLatency(subject, 'at most', most, 'answer under that load, from when it was sent');
    figures.add({
      subject,
      name: 'CPU per 1,000 at most',
      value: cpu,
      unit: 'ms',
      means: 'user and system time of its process',
    });
    figures.add({
      subject,
      name: 'memory at most',
      value: memoryMb(running.pid).peak,
      unit: 'MB',
      means: 'resident, the highest under that load',
    });
    // Beyond what it can do, a latency would only say how long the run was.
    const rate = Math.min(LOW_RATE, Math.round(most.perSecond * 0.7));
    const few = await load.load({ url: running.url, ms, warmUpMs, rate, envelope });
    noteFailures(bench, peer.title, few);
    figures.addLatency(subject, atRate(rate), few, 'answer, from when the callback was due');
    // Callbacks answered OK must have arrived, or the figures compare nothing.
    const { records, documents } = await countCopies(servers, copies);
    const answered = most.ok + most.okInWarmUp + few.ok + few.okInWarmUp;
    const groups = Math.min(GROUPS, Math.max(most.ok + most.okInWarmUp, few.ok + few.okInWarmUp));
    print(`  ${answered} answered OK, ${records} records in Kafka; ${groups} groups, ${documents} documents`);
    if (records < answered || documents < groups) print('  NOT ALL of what was answered OK is in both copies (yet)');
    await closePeer();
    await removeAll();
  }
}
