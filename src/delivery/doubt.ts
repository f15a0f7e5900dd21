/*
 * A destination that refuses every event is itself at fault, whatever it says about each one. Once ALIKE different events
 * in a row are refused for the same cause, with none accepted in between, the lane waits and charges none of them.
 */
import type { Outcomes } from '../../connectors/contract.ts';
import { causeOf } from '../model/cause.ts';
import type { Entry } from '../model/entry.ts';
import type { Fault } from '../model/fault.ts';

export const ALIKE = 20;

export type Doubt = ReturnType<typeof createDoubt>;

/** Tracks the refusals of one lane since the last accepted event. */
export function createDoubt() {
  const refused = new Map<string, Entry>();
  let cause: string | undefined;
  /** In the destination's own words, which name the column or the field. */
  let first: Fault | undefined;
  /** A person said that the events are at fault. */
  let trusted = false;
  let doubting = false;
  const forget = (): void => {
    refused.clear();
    cause = first = undefined;
    doubting = false;
  };

  return {
    /** Examines a batch. If the destination is in doubt, returns why, and the entries of earlier batches refused alike. */
    look(batch: readonly Entry[], outcomes: Outcomes, connector: string) {
      const kinds = new Set(batch.map(({ id }) => outcomes.get(id)?.kind));
      if (kinds.has('delivered')) {
        trusted = false;
        forget();
        return undefined;
      }
      // Not tracked while trusted: there may be as many as the journal holds.
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
    /** Lets refused events become dead letters until one is accepted; without a doubt, changes nothing. */
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
