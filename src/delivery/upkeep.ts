/**
 * Keeps one lane's copy whole, between deliveries: notices when the destination was deleted or replaced, restores what it
 * held, and compares it with what it should hold.
 */
import type { Sink } from '../../connectors/contract.ts';
import type { LaneOptions } from '../config/connectors.ts';
import type { CopyState } from '../model/copy.ts';
import type { Entry } from '../model/entry.ts';
import { type Fault, faultOf } from '../model/fault.ts';
import type { ResyncProgress } from '../model/signal.ts';
import { plural } from '../model/text.ts';
import { isOfAll } from './resync.ts';
import {
  type Comparison,
  type ComparisonPorts,
  type Found,
  FRESH_MS,
  startComparison,
  tellsNothing,
  WHERE_TO_LOOK,
} from './verify.ts';
import { beginResync, type LaneWork, passOver, retryNow, rewind } from './work.ts';

export type UpkeepSettings = Pick<LaneOptions, 'verify' | 'restore'>;

/** What upkeep needs beyond the ports of its lane. */
export interface UpkeepPorts {
  /** A hash of filter, shape and places: what the copy should hold, and where. */
  readonly scope: string;
  load(): CopyState;
  save(state: CopyState): void;
  readonly groups: ComparisonPorts['groups'];
  readonly events: Omit<ComparisonPorts['events'], 'oldest'> & {
    oldest(): { readonly seq: number; readonly receivedAt: number } | undefined;
  };
  /** How many events were pruned while the connector was disabled, before it had them, and are not passed over yet. */
  missed(): number;
  note(message: string): void;
}

/** The longest time between two looks at the destination's identity. */
const IDENTIFY_MS = 30_000;
const MAX_PAGE = 500;
/** How often to check whether a scan has finished. */
const READING_MS = 1_000;

type News = { readonly [Key in keyof CopyState]?: CopyState[Key] | undefined };

/** Voids the last comparison: the destination, or what it should hold, has changed. */
const UNVERIFIED: News = { verifiedAt: undefined, scope: undefined };

/** Why an event waits that a comparison missed. */

interface Pass {
  readonly compareNext: Comparison;
  readonly begun: number;
  looked: number;
  found: number;
  mended: number;
  why: Fault | undefined;
}

export type Upkeep = ReturnType<typeof createUpkeep>;

export function createUpkeep({ verify, restore }: UpkeepSettings, ports: UpkeepPorts) {
  const { events } = ports;
  let state = ports.load();
  /** The last comparison was for another scope. Older versions recorded none. */
  let isOutdated = state.verifiedAt !== undefined && (state.scope ?? ports.scope) !== ports.scope;
  /** Whether pruned events were looked for since the lane began. */
  let isBegun = false;
  let made: string | undefined;
  let identifyAt = 0;
  /** Which part of the destination could not be asked at the last look. */
  let unasked: string | undefined;
  /** When the next page is due; unknown before the first step. */
  let pageAt: number | undefined;
  let pass: Pass | undefined;
  const brought = new Set<number>();
  /** All that is known was brought, and nothing was compared since. */
  let isNew = false;

  const keep = ({ settings, ports: { signals } }: LaneWork, news: News): void => {
    state = Object.fromEntries(
      Object.entries({ ...state, ...news }).filter(([, value]) => value !== undefined),
    ) as unknown as CopyState;
    ports.save(state);
    signals.emit('copy.state', { connector: settings.connector, copy: state });
  };

  const lose = (lane: LaneWork, reason: string, identity = state.identity, vain = false): void => {
    const { settings, ports: its, cursor } = lane;
    const incomplete = { since: its.clock.now(), reason, upTo: cursor, ...(vain && { vain }) };
    pass = undefined;
    keep(lane, { identity, incomplete });
    const { connector } = settings;
    const ask = `replay it, from groups or from the beginning (connectors.${connector}.restore is ask)`;
    const auto = vain ? WHERE_TO_LOOK : 'everything known is being written again';
    const next = restore === 'auto' ? auto : ask;
    its.signals.emit('copy.lost', { connector, reason, next });
  };

  const identify = async (lane: LaneWork, sink: Sink): Promise<void> => {
    const found = await sink.identify?.(state.identity, lane.signal);
    // Set even if the sink cannot tell: if it stayed due, the lane would never rest.
    identifyAt = lane.ports.clock.elapsed() + (verify === false ? IDENTIFY_MS : Math.min(IDENTIFY_MS, verify.every));
    if (found === undefined) return;
    const { identity, lost, moved } = found;
    if (found.unasked !== undefined && unasked === undefined) ports.note(`not compared: ${found.unasked}`);
    // The remembered identity may be outdated or missing: that the destination was just created is evidence, too.
    const noticed = lost ?? (lane.cursor > 0 ? made : undefined);
    // After a move, events continue at the cursor; groups are brought whole.
    const reason = moved && sink.holds === 'events' ? undefined : noticed;
    made = undefined;
    if (moved) {
      [pass, pageAt] = [undefined, undefined];
      const news = { ...UNVERIFIED, identity, differing: 0, lacking: undefined };
      // None of the events that were lost are to be there.
      keep(lane, sink.holds === 'events' ? { ...news, begins: lane.cursor, incomplete: undefined } : news);
    }
    unasked = found.unasked;
    // The next look is first.
    if (unasked !== undefined) [pass, pageAt] = [undefined, Math.max(pageAt ?? 0, identifyAt)];
    if (reason !== undefined) lose(lane, reason, identity);
    else if (identity !== state.identity) keep(lane, { identity });
  };

  /** `before` is unknown where dead letters of other connectors kept some of the events from being pruned. */
  const tellMissed = (lane: LaneWork, sink: Sink, missed: number, before = lane.ports.clock.now()): void => {
    const reason = `${plural(missed, 'event')} that it had not received were pruned while it was not enabled`;
    if (sink.holds === 'groups') lose(lane, reason);
    else {
      keep(lane, { lacking: { events: missed + (state.lacking?.events ?? 0), before } });
      ports.note(reason);
    }
  };

  /** While a connector is disabled, events are pruned as soon as the others have them. */
  const noticePruned = async (lane: LaneWork, sink: Sink): Promise<void> => {
    const { cursor } = lane;
    // In this order: what is recorded in between must not be taken for pruned.
    const there = lane.ports.source.available(cursor);
    const [next] = events.read(cursor, 1);
    const gone = next === undefined ? there : next.seq - cursor - 1;
    const missed = ports.missed();
    isBegun = next !== undefined || gone > 0 || missed > 0;
    if (missed > 0) tellMissed(lane, sink, missed, missed === gone ? next?.receivedAt : undefined);
    // A new connector begins with what is there.
    if (missed > 0 || (gone > 0 && cursor > 0)) await passOver(lane, cursor + gone);
  };

  const restored = (lane: LaneWork, brought: number, differing = 0): void => {
    // If everything was pruned, what was delivered is all there was.
    const oldest = events.oldest() ?? { seq: lane.cursor + 1, receivedAt: lane.ports.clock.now() };
    const isShort = oldest.seq > 1 && lane.sink?.holds === 'events';
    const lacking = isShort ? { events: oldest.seq - 1, before: oldest.receivedAt } : undefined;
    keep(lane, { incomplete: undefined, lacking, differing });
    isNew = true;
    const { connector } = lane.settings;
    const { events: missing = 0, before = 0 } = lacking ?? {};
    lane.ports.signals.emit('copy.restored', { connector, brought, lacking: missing, before });
    // Events that are not searchable yet would look lost again.
    pageAt = lane.sink?.holds === 'events' ? lane.ports.clock.elapsed() + FRESH_MS : 0;
  };

  /** Brings an incomplete copy all that is known, unless a person has to ask for it. */
  const bringAgain = async (lane: LaneWork, sink: Sink): Promise<void> => {
    if (state.incomplete === undefined) return;
    const { upTo, again = false, vain = false } = state.incomplete;
    if (sink.holds === 'groups') {
      if (restore === 'auto' && !lane.resyncs.some(({ request }) => isOfAll(request)))
        beginResync(lane, { how: 'join' });
      return;
    }
    const oldest = events.oldest()?.seq ?? upTo + 1;
    if (again && lane.cursor >= upTo) return restored(lane, upTo - oldest + 1);
    // Starts at the oldest event left: pruned ones never come again.
    if (!again && restore === 'auto' && !vain) await rewind(lane, oldest - 1);
  };

  const begin = (lane: LaneWork, sink: Sink, rate: number, mend: boolean): Pass => {
    const { settings, ports: its, waiting, signal } = lane;
    const comparing: ComparisonPorts = {
      ...ports,
      brought,
      events: { ...events, oldest: () => ({ seq: Math.max(events.oldest()?.seq ?? 0, (state.begins ?? 0) + 1) }) },
      filter: settings.filter,
      cursor: () => lane.cursor,
      isWaiting: waiting.holdsBack,
      bring: (entries: readonly Entry[]) => retryNow(lane, entries),
      now: its.clock.now,
      random: its.random,
      pageSize: Math.min(rate, MAX_PAGE),
      mend,
    };
    const compareNext = startComparison(sink, comparing, signal);
    return { compareNext, begun: its.clock.elapsed(), looked: 0, found: 0, mended: 0, why: undefined };
  };

  /** Rethrows, unless reading is not permitted: deliveries need no such right, and the verdict says "not verified". */
  const skipUnreadable = (lane: LaneWork, sink: Sink, thrown: unknown, every: number): void => {
    // A scan starts over; a page is simply read again.
    if (sink.holds === 'groups' && sink.read === undefined) [pass, identifyAt] = [undefined, 0];
    const { code, message } = faultOf(thrown, 'destination-unreachable');
    if (code !== 'destination-credentials') throw thrown;
    pass = undefined;
    pageAt = lane.ports.clock.elapsed() + every;
    ports.note(`the copy may not be read and is not compared: ${message} — allow it, or set verify: false`);
  };

  /** Compares the next page; resolves with whether the destination has answered. */
  const compare = async (lane: LaneWork, sink: Sink, settings: UpkeepSettings['verify'] & object): Promise<boolean> => {
    const { every, groupsPerSecond, mend } = settings;
    const { clock, signals } = lane.ports;
    const { connector } = lane.settings;
    if (sink.holds === 'events' && lane.waiting.size >= MAX_PAGE) {
      // Delivers what was found missing before it looks for more: new events get their turn, and memory has a bound.
      pageAt = clock.elapsed() + READING_MS;
      return false;
    }
    if (tellsNothing(sink)) {
      pageAt = Number.POSITIVE_INFINITY;
      if (state.verifiedAt !== undefined) keep(lane, UNVERIFIED);
      ports.note('its sink cannot read the copy back: its module should say verifiable: false, or set verify: false');
      return false;
    }
    pass ??= begin(lane, sink, groupsPerSecond, mend);
    const current = pass;
    let page: Found;
    try {
      page = await current.compareNext(lane.signal);
    } catch (thrown) {
      skipUnreadable(lane, sink, thrown, every);
      return true;
    }
    if (page.state === 'lost') {
      const after = isNew ? ' after all were written again: replay it once the cause is found' : '';
      lose(lane, `none of ${page.looked} delivered events is there${after}`, state.identity, isNew);
      return true;
    }
    if (page.state === 'reading') {
      pageAt = clock.elapsed() + READING_MS;
      return false;
    }
    for (const key of ['looked', 'found', 'mended'] as const) current[key] += page[key];
    current.why ??= page.why;
    if (page.mended > 0) signals.emit('copy.mended', { connector, count: page.mended });
    pageAt = clock.elapsed() + (Math.min(groupsPerSecond, MAX_PAGE) / groupsPerSecond) * 1_000;
    const { looked, found, mended, why, begun } = current;
    const differing = found - mended;
    if (page.state === 'more') {
      if (differing > state.differing) keep(lane, { differing });
      // For a page with nothing for this connector, the destination was not asked.
      return page.looked > 0;
    }
    pass = undefined;
    isNew = false;
    pageAt = Math.max(begun + every, pageAt);
    keep(lane, { verifiedAt: clock.now(), scope: ports.scope, differing });
    signals.emit('copy.verified', { connector, looked, found, mended, why, ms: clock.elapsed() - begun });
    return true;
  };

  return {
    /** The destination was just created, which the next look at its identity has to take into account. */
    made(message: string): void {
      made = message;
      identifyAt = 0;
    },
    /** Does what is due; resolves with whether the destination has answered. Throws Unreachable. */
    async step(lane: LaneWork, sink: Sink): Promise<boolean> {
      if (lane.ending !== 'no') return false;
      if (isOutdated) keep(lane, UNVERIFIED);
      isOutdated = false;
      if (!isBegun) await noticePruned(lane, sink);
      const { elapsed, now } = lane.ports.clock;
      let answered = elapsed() >= identifyAt;
      if (answered) await identify(lane, sink);
      if (verify !== false && state.incomplete === undefined) {
        const { every } = verify;
        pageAt ??= elapsed() + Math.min(every, Math.max(0, (state.verifiedAt ?? 0) + every - now()));
        if (elapsed() >= pageAt) answered = await compare(lane, sink, verify);
      }
      // Includes a loss noticed just now: a lane with nothing to deliver would rest first.
      await bringAgain(lane, sink);
      return answered;
    },
    /** A page of groups was brought. */
    resynced(lane: LaneWork, { how, named, ended, done, failed }: ResyncProgress): void {
      if (!ended || named || how === 'compare') return;
      if (state.incomplete !== undefined && how === 'join') restored(lane, done, failed);
      // A join leaves changes that others made, which only a comparison finds.
      else if (how === 'repair' || verify === false) keep(lane, { differing: failed });
    },
    /** Everything after this seq that is still there comes again. */
    rewound(lane: LaneWork, cursor: number): void {
      brought.clear();
      if ((state.begins ?? 0) > cursor) keep(lane, { begins: cursor });
      const isFromOldest = cursor < (events.oldest()?.seq ?? Number.POSITIVE_INFINITY);
      if (state.incomplete !== undefined && isFromOldest)
        keep(lane, { incomplete: { ...state.incomplete, again: true } });
    },
    /** When the next step is due, by Clock.elapsed. */
    dueAt: (): number =>
      Math.min(identifyAt, verify === false || state.incomplete ? Number.POSITIVE_INFINITY : (pageAt ?? 0)),
  };
}
