import { BARE, startBareServer } from '../bare/index.ts';
import type { Bench } from '../context.ts';
import { ACKNOWLEDGED } from '../figures.ts';
import { atRate, LOW_RATE } from './latency.ts';

/** Each bare server in turn: how much it takes, and how fast it answers little. */
export async function measureBare({ load, options, figures, closing, print }: Bench): Promise<void> {
  for (const kind of BARE) {
    print(`${kind.name}: closed loop, then ${LOW_RATE}/s`);
    const server = await startBareServer(kind);
    const close = closing.add(server.close);
    const { ms, warmUpMs } = options;
    const most = await load.load({ url: server.url, ms, warmUpMs });
    const means = `answers in a closed loop over 64 connections; an OK means ${kind.means}`;
    figures.add({ subject: kind.name, name: ACKNOWLEDGED, value: most.perSecond, unit: '/s', means });
    figures.addLatency(kind.name, 'at most', most, 'answer under that load, from when it was sent');
    const few = await load.load({ url: server.url, ms, warmUpMs, rate: LOW_RATE });
    figures.addLatency(kind.name, atRate(LOW_RATE), few, 'answer, from when the callback was due');
    await close();
  }
}
