/**
 * The one guard of speed that runs everywhere: a ratio, not a time. The bridge, delivering into a file, against the bare
 * Hono server with a shared fdatasync, in turn on the same machine under the same load.
 */
import { afterAll, expect, test } from 'vitest';
import { FDATASYNC, startBareServer } from '../bench/bare/index.ts';
import { startBenchBridge } from '../bench/bridge.ts';
import { createClosing } from '../bench/context.ts';
import { startLoadGenerator } from '../bench/load/load.ts';

/** Less than half of what is usual (0.3 to 0.5 on 2 cores): below it something is broken, not noisy. */
const LEAST = 0.12;
const ROUNDS = 3;

const closing = createClosing();
afterAll(() => closing.closeAll());

test('the bridge acknowledges a fair share of what a bare server with fdatasync does', async () => {
  const load = startLoadGenerator();
  closing.add(load.close);
  const bare = await startBareServer(FDATASYNC);
  closing.add(bare.close);
  const bridge = await startBenchBridge(
    { closing },
    { connectors: (folder) => ({ file: { kind: 'file', path: `${folder}/events.ndjson` } }) },
  );
  for (const { url } of [bare, bridge]) await load.load({ url, ms: 1_000 });

  let [ofBare, ofBridge] = [0, 0];
  for (let round = 0; round < ROUNDS; round++) {
    const first = await load.load({ url: bare.url, ms: 1_200 });
    const second = await load.load({ url: bridge.url, ms: 1_200 });
    expect({ ...first.failures, ...second.failures }).toEqual({});
    ofBare += first.perSecond;
    ofBridge += second.perSecond;
  }
  expect(ofBridge / ofBare, `bridge ${ofBridge / ROUNDS}/s, bare ${ofBare / ROUNDS}/s`).toBeGreaterThan(LEAST);
  console.log(ofBridge / ofBare, ofBridge / ROUNDS, ofBare / ROUNDS);
});
