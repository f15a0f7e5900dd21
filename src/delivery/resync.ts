import type { GroupSink, PutMode } from '../../connectors/contract.ts';
import { type Fault, Unreachable } from '../model/fault.ts';
import type { Group } from '../model/group.ts';
import { overloaded } from '../model/outcome.ts';
import type { ResyncProgress } from '../model/signal.ts';
import { UNSETTLED } from './attempt.ts';
import type { Filter } from './filter.ts';

/** A request, by a person or the bridge, to bring merged groups to a destination or to compare them with it. */
export interface ResyncRequest {
  readonly how: PutMode;
  /** All groups when none are named. */
  readonly groupIds?: readonly string[] | undefined;
}

export const isOfAll = ({ groupIds }: ResyncRequest): boolean => groupIds === undefined;

export interface GroupPages {
  get(groupId: string): Group | undefined;
  /** Returns at most `limit` groups, fewer when they are large. */
  page(after: string, limit: number): Group[];
  count(): number;
}

export type Resync = ReturnType<typeof startResync>;

const PAGE = 500;
/** As for the journal's pages: the largest groups must not take more memory than others. */
const PAGE_CHARACTERS = 4 * 1_048_576;
/** How many differing groups a comparison names. */
const MOST_NAMED = 100;

/** Begins a resync; `refused` hears of each group that was not accepted. */
export function startResync(
  request: ResyncRequest,
  groups: GroupPages,
  filter: Filter,
  refused: (groupId: string, fault: Fault) => void,
  done: () => void,
) {
  const { how, groupIds } = request;
  const named = groupIds !== undefined;
  const counts = { done: 0, total: groupIds?.length ?? groups.count(), mended: 0, failed: 0 };
  const differing: string[] = [];
  let after = '';
  let looked = 0;

  return {
    request,
    /** Called when it has finished or was abandoned. */
    done,
    /** Handles one page; resolves with the progress. Throws Unreachable; the same page is then repeated. */
    async step(sink: GroupSink, signal: AbortSignal): Promise<ResyncProgress> {
      const ids = groupIds?.slice(looked, looked + PAGE);
      const { page, taken } = ids === undefined ? { page: groups.page(after, PAGE), taken: 0 } : firstOf(groups, ids);
      const states = page.filter(filter.concerns).map(filter.project);
      if (states.length > 0) {
        const outcomes = await sink.put(states, how, signal);
        const overload = overloaded(states.map(({ groupId }) => outcomes.get(groupId)));
        if (overload !== undefined) throw new Unreachable(overload.fault, undefined, overload.afterMs);
        for (const { groupId } of states) {
          const outcome = outcomes.get(groupId) ?? { kind: 'retry', fault: UNSETTLED };
          if (outcome.kind === 'delivered') counts.mended++;
          if (outcome.kind === 'delivered' && how === 'compare' && differing.length < MOST_NAMED)
            differing.push(groupId);
          if (outcome.kind !== 'dead' && outcome.kind !== 'retry') continue;
          counts.failed++;
          refused(groupId, outcome.fault);
        }
      }
      after = page.at(-1)?.groupId ?? after;
      looked += taken;
      // Groups that are filtered out or unknown are neither brought nor compared.
      counts.done += states.length;
      const ended = named ? looked >= groupIds.length : groups.page(after, 1).length === 0;
      return { how, named, ...counts, ...(how === 'compare' && { differing }), ended };
    },
  };
}

/** Returns the groups of the first ids, as many as fit in a page, and how many ids that takes. */
function firstOf(groups: GroupPages, ids: readonly string[]) {
  const page: Group[] = [];
  let taken = 0;
  for (let room = PAGE_CHARACTERS; taken < ids.length && room > 0; taken++) {
    const group = groups.get(ids[taken] ?? '');
    if (group === undefined) continue;
    page.push(group);
    room -= JSON.stringify(group).length;
  }
  return { page, taken };
}
