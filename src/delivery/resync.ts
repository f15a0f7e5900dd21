import type { GroupSink, PutMode } from '../../connectors/contract.ts';
import type { Fault } from '../model/fault.ts';
import type { Group } from '../model/group.ts';
import type { ResyncProgress } from '../model/signal.ts';
import { UNSETTLED } from './attempt.ts';
import type { Filter } from './filter.ts';

/** What a person, or the bridge, asks for: that merged groups are brought to a destination, or compared with it. */
export interface ResyncRequest {
  readonly how: PutMode;
  /** All groups when none are named. */
  readonly groupIds?: readonly string[] | undefined;
}

/** The merged groups, page by page. */
export interface GroupPages {
  get(groupId: string): Group | undefined;
  page(after: string, limit: number): Group[];
  count(): number;
}

export interface Resync {
  readonly request: ResyncRequest;
  /** Takes one page; resolves with how far it is then. Throws Unreachable, and then the same page comes again. */
  step(sink: GroupSink, signal: AbortSignal): Promise<ResyncProgress>;
}

const PAGE = 500;

/** Begins a resync; `refused` is told of each group that was not taken. */
export function startResync(
  request: ResyncRequest,
  groups: GroupPages,
  filter: Filter,
  refused: (groupId: string, fault: Fault) => void,
): Resync {
  const { how, groupIds } = request;
  const total = groupIds?.length ?? groups.count();
  let after = '';
  let done = 0;
  let mended = 0;
  let failed = 0;

  return {
    request,
    async step(sink, signal) {
      const named = groupIds?.slice(done, done + PAGE);
      const page = named?.flatMap((groupId) => groups.get(groupId) ?? []) ?? groups.page(after, PAGE);
      const states = page.filter(filter.concerns).map(filter.project);
      if (states.length > 0) {
        const outcomes = await sink.put(states, how, signal);
        for (const { groupId } of states) {
          const outcome = outcomes.get(groupId) ?? { kind: 'retry', fault: UNSETTLED };
          if (outcome.kind === 'delivered') mended++;
          if (outcome.kind !== 'dead' && outcome.kind !== 'retry') continue;
          failed++;
          refused(groupId, outcome.fault);
        }
      }
      after = page.at(-1)?.groupId ?? after;
      const taken = (named ?? page).length;
      done += taken;
      return { how, named: groupIds !== undefined, done, total, mended, failed, ended: taken < PAGE };
    },
  };
}
