import { type BridgeSettings, ELASTICSEARCH, KAFKA, startBenchBridge } from '../bridge.ts';
import type { Bench } from '../context.ts';
import { BRIDGE, median } from '../figures.ts';
import { fillJournal } from '../journal-folder.ts';

const STARTS = 5;

/** From the start of the process until `/readyz` says yes, with an empty and with a large journal. */
export async function measureStart(bench: Bench): Promise<void> {
  const { options, figures, print } = bench;
  print('bridge: start with an empty journal');
  const empty = await medianStart(bench, {});
  figures.add({
    subject: BRIDGE,
    name: 'start, empty journal',
    value: empty,
    unit: 'ms',
    means: `from the start of the process until it is ready, median of ${STARTS}`,
  });

  print(`bridge: start with a journal of ${options.journalEvents} events`);
  const { folder, bytes, remove } = await fillJournal(bench, options.journalEvents, [KAFKA, ELASTICSEARCH]);
  const size = `${(bytes / 2 ** 30).toFixed(2)} GB`;
  const large = await medianStart(bench, { journalFolder: folder });
  figures.add({
    subject: BRIDGE,
    name: `start, journal of ${size}`,
    value: large,
    unit: 'ms',
    means: `the same with ${options.journalEvents} delivered events in the journal`,
  });
  await remove();
}

async function medianStart(bench: Bench, settings: BridgeSettings): Promise<number> {
  const bridge = await startBenchBridge(bench, { ...settings, launch: false });
  const times: number[] = [];
  for (let start = 0; start < STARTS; start++) {
    times.push(await bridge.launch());
    await bridge.stop();
  }
  await bridge.close();
  return median(times);
}
