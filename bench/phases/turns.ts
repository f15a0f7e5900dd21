import { FDATASYNC, startBareServer } from '../bare/index.ts';
import { startBenchBridge } from '../bridge.ts';
import type { Bench } from '../context.ts';
import { BRIDGE, IN_TURN, median } from '../figures.ts';
import { noteFailures, SETTLED_WITHIN_MS } from './measure.ts';

/** Odd, for the median. */
const ROUNDS = 3;

/**
 * Measures the bare server and the bridge several times in turn: a machine that others share is faster in one minute than in
 * the next, and the ratio of two figures of different minutes is as much its own as theirs.
 */
export async function measureInTurn(bench: Bench): Promise<void> {
  const { load, options, figures, closing, print } = bench;
  const { ms, warmUpMs } = options;
  const rates = { bare: [] as number[], bridge: [] as number[] };
  for (let round = 1; round <= ROUNDS; round++) {
    print(`round ${round} of ${ROUNDS}: ${FDATASYNC.name}, then the bridge`);
    const server = await startBareServer(FDATASYNC);
    const close = closing.add(server.close);
    const bare = await load.load({ url: server.url, ms, warmUpMs });
    noteFailures(bench, FDATASYNC.name, bare);
    await close();
    const bridge = await startBenchBridge(bench);
    const own = await load.load({ url: bridge.url, ms, warmUpMs });
    noteFailures(bench, BRIDGE, own);
    await bridge.inStep(SETTLED_WITHIN_MS);
    await bridge.close();
    rates.bare.push(bare.perSecond);
    rates.bridge.push(own.perSecond);
    print(`  ${Math.round(bare.perSecond)}/s and ${Math.round(own.perSecond)}/s`);
  }
  const means = `the same closed loop, median of ${ROUNDS} rounds in turn`;
  figures.add({ subject: FDATASYNC.name, name: IN_TURN, value: median(rates.bare), unit: '/s', means });
  figures.add({ subject: BRIDGE, name: IN_TURN, value: median(rates.bridge), unit: '/s', means });
}
