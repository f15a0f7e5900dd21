/*
 * A destination that refuses every event is at fault itself, whatever it says of each of them. When so many different events
 * in a row are refused alike, and none is taken in between, the lane waits, and charges none of them.
 */
import type { Outcomes } from '../../connectors/contract.ts';
import { causeOf } from '../model/cause.ts';
import type { Entry } from '../model/entry.ts';
import type { Fault } from '../model/fault.ts';

export const ALIKE = 20;

export type Doubt = ReturnType<typeof createDoubt>;

/** The refusals of one lane since the last event that was taken. */
export function createDoubt() {
  const refused = new Map<string, Entry>();
  let cause: string | undefined;
  /** In the destination's own words, which name the column or the field. */
  let first: Fault | undefined;
  /** A person said that it is the events. */
  let trusted = false;
  let doubting = false;
  const forget = (): void => {
    refused.clear();
    cause = first = undefined;
    doubting = false;
  };

  return {
    /** Takes a batch in. Returns why the destination is doubted, if it is, with those refused alike before. */
    look(batch: readonly Entry[], outcomes: Outcomes, connector: string) {
      const kinds = new Set(batch.map(({ id }) => outcomes.get(id)?.kind));
      if (kinds.has('delivered')) {
        trusted = false;
        forget();
        return undefined;
      }
      // They may be as many as the journal holds: none is kept.
      if (trusted) return undefined;
      const before = new Map(refused);
      for (const entry of batch) {
        const outcome = outcomes.get(entry.id);
        if (outcome?.kind !== 'dead') continue;
        const { id } = causeOf(outcome.fault);
        if (id !== cause) forget();
        cause = id;
        first ??= outcome.fault;
        refused.set(entry.id, entry);
      }
      if (first === undefined || refused.size < ALIKE || !kinds.has('dead')) return undefined;
      const now = new Set(batch.map(({ id }) => id));
      const earlier = [...before.values()].filter(({ id }) => refused.has(id) && !now.has(id));
      doubting = true;
      return { fault: alike(refused.size, first, connector), earlier };
    },
    /** Lets the events become dead letters, until one of them is taken; says whether that was asked for rightly. */
    trust(): boolean {
      if (doubting) {
        trusted = true;
        forget();
      }
      return trusted;
    },
  };
}

function alike(count: number, { code, message }: Fault, connector: string): Fault {
  return {
    code: 'destination-misconfigured',
    path: `connectors.${connector}`,
    message: `${count} different events in a row were refused alike, and none was taken; the first: ${message} (${code})`,
    suggestion: `mend the destination, and they are delivered; if it is the events, \`resume ${connector}\` lets them become dead letters`,
  };
}
