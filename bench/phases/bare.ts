import { BARE, startBareServer } from '../bare/index.ts';
import type { Bench } from '../context.ts';
import { ACKNOWLEDGED } from '../figures.ts';
import { cpuMs } from '../processes.ts';
import { noteFailures } from './measure.ts';

/** Each bare server in turn: how much it takes. */
export async function measureBare(bench: Bench): Promise<void> {
  const { load, options, figures, closing, print } = bench;
  for (const kind of BARE) {
    print(`${kind.name}: closed loop`);
    const server = await startBareServer(kind);
    const close = closing.add(server.close);
    const { ms, warmUpMs } = options;
    const before = cpuMs(server.pid);
    const most = await load.load({ url: server.url, ms, warmUpMs });
    const cpu = ((cpuMs(server.pid) - before) * 1_000) / (most.ok + most.okInWarmUp);
    noteFailures(bench, kind.name, most);
    const means = `answers in a closed loop over 64 connections; an OK means ${kind.means}`;
    figures.add({ subject: kind.name, name: ACKNOWLEDGED, value: most.perSecond, unit: '/s', means });
    figures.addLatency(kind.name, 'at most', most, 'answer under that load, from when it was sent');
    const perThousand = 'user and system time of its process per 1,000 callbacks under that load';
    figures.add({ subject: kind.name, name: 'CPU per 1,000 at most', value: cpu, unit: 'ms', means: perThousand });
    await close();
  }
}
