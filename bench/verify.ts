/**
 * `npm run bench:verify -- [--groups 1000000] [--seconds 30] [--rounds 3]`: what comparing an index of so many groups costs a bridge
 * that receives callbacks: with `verify: false` and as it is by default, in turn. Needs Elasticsearch, which it starts.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startElasticsearch } from '../test/servers/elasticsearch.ts';
import { startBenchBridge } from './bridge.ts';
import { closeOnSignals, createClosing } from './context.ts';
import { markdown, median } from './figures.ts';
import { fillJournal } from './journal-folder.ts';
import { startLoadGenerator } from './load/load.ts';
import { cpuMs, memoryMb } from './processes.ts';

const { values } = parseArgs({
  options: {
    groups: { type: 'string', default: '1000000' },
    seconds: { type: 'string', default: '30' },
    rounds: { type: 'string', default: '3' },
  },
});
const groups = Number(values.groups);
const ms = Number(values.seconds) * 1_000;
const RATE = 200;
const INDEX = 'bench-verify';

const print = (line: string): void => void process.stderr.write(`${line}\n`);
const closing = createClosing();
const interrupted = closeOnSignals(closing);
const load = startLoadGenerator();
closing.add(load.close);

async function countDocuments(url: string): Promise<number> {
  const answer = await fetch(`${url}/${INDEX}/_count`);
  return answer.ok ? ((await answer.json()) as { count: number }).count : 0;
}

interface Side {
  readonly verify: false | object;
  readonly p99: number[];
  readonly cpu: number[];
  readonly memory: number[];
}
const side = (verify: Side['verify']): Side => ({ verify, p99: [], cpu: [], memory: [] });
const sides = { 'verify: false': side(false), 'by default': side({}) };

try {
  const server = await startElasticsearch({ heapMb: 1_024, lasts: true, onProgress: print });
  closing.add(() => server.stop());
  process.env.FILL_GROUPS = String(groups);
  const journal = await fillJournal({ closing }, groups, ['index']);
  const connector = { kind: 'elasticsearch', nodes: server.url, index: INDEX, createIndex: { replicas: 0 } };
  // Its cursor is at the end and there is no index, so that all groups are brought to it.
  const first = await startBenchBridge(
    { closing },
    { journalFolder: journal.folder, connectors: () => ({ index: { ...connector, verify: false } }) },
  );
  const start = performance.now();
  while ((await countDocuments(server.url)) < groups && !interrupted()) await delay(5_000);
  print(`restored ${groups} groups in ${((performance.now() - start) / 1_000).toFixed(0)} s`);
  await first.stop();

  for (let round = 0; round < Number(values.rounds) && !interrupted(); round++) {
    for (const [name, its] of Object.entries(sides)) {
      const bridge = await startBenchBridge(
        { closing },
        {
          journalFolder: journal.folder,
          connectors: () => ({ index: { ...connector, verify: its.verify } }),
        },
      );
      const before = cpuMs(bridge.pid);
      const result = await load.load({ url: bridge.url, ms, warmUpMs: 3_000, rate: RATE });
      its.cpu.push(((cpuMs(bridge.pid) - before) / (ms + 3_000)) * 100);
      its.p99.push(result.p99);
      its.memory.push(memoryMb(bridge.pid).peak);
      await bridge.close();
      print(`${name}: p99 ${result.p99.toFixed(1)} ms, ${its.cpu.at(-1)?.toFixed(1)} % of a core`);
    }
  }
  const rows = Object.entries(sides).map(([name, { p99, cpu, memory }]) => [
    name,
    `${median(p99).toFixed(1)} ms`,
    `${median(cpu).toFixed(1)} %`,
    `${median(memory).toFixed(0)} MB`,
  ]);
  process.stdout.write(`${markdown(['', 'p99 of answers', 'CPU, of a core', 'memory at most'], rows)}\n`);
} finally {
  await closing.closeAll();
}
