import { mapKept } from '../intake/quarantine.ts';
import type { SignalBus } from '../model/signal.ts';
import type { Journal } from './append.ts';
import type { DeliveryReader } from './deliveries.ts';

/** Maps what stands in the quarantine once more. */
export async function mapQuarantined(
  sdkAppId: string,
  journal: Journal,
  reader: DeliveryReader,
  signals: SignalBus,
): Promise<{ mapped: number; left: number }> {
  let mapped = 0;
  let after = 0;
  for (;;) {
    const kept = reader.quarantined(after, 100);
    if (kept.length === 0) break;
    for (const callback of kept) {
      after = callback.id;
      const event = mapKept(sdkAppId, callback);
      if (event === undefined) continue;
      // Recorded first: ended in between, it is mapped again, and its id makes it the same event.
      await journal.record(event);
      await journal.releaseQuarantined([callback.id]);
      mapped++;
    }
  }
  const left = reader.countQuarantined();
  if (mapped > 0 || left > 0) signals.emit('quarantine.mapped', { mapped, left });
  return { mapped, left };
}

/** All that stand there now, or those that are named. */
export async function discardQuarantined(
  journal: Journal,
  reader: DeliveryReader,
  signals: SignalBus,
  ids?: readonly number[],
): Promise<number> {
  let count = 0;
  if (ids !== undefined) count = await journal.releaseQuarantined(ids);
  else {
    // What is kept from now on, nobody has seen yet.
    for (let left = reader.countQuarantined(), after = 0; left > 0; ) {
      const page = reader.quarantined(after, Math.min(left, 100));
      if (page.length === 0) break;
      after = page.at(-1)?.id ?? after;
      left -= page.length;
      count += await journal.releaseQuarantined(page.map(({ id }) => id));
    }
  }
  if (count > 0) signals.emit('quarantine.discarded', { count });
  return count;
}
