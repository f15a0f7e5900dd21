import type { Clock } from '../model/clock.ts';
import type { CopyState } from '../model/copy.ts';
import type { LaneState, ResyncProgress, SignalBus } from '../model/signal.ts';

export interface LaneHealth {
  readonly state: LaneState;
  readonly cursor: number;
  readonly copy: CopyState;
  /** Progress of the latest resync since the bridge started. */
  readonly restore?: Omit<ResyncProgress, 'how' | 'named'>;
}

/** Returns the last known health of each lane; until a lane reports, what the journal holds. */
export function watchLanes(
  journal: { cursor(connector: string): number; copy(connector: string): CopyState },
  signals: SignalBus,
) {
  const said = new Map<string, Partial<LaneHealth>>();
  const note = (connector: string, news: Partial<LaneHealth>): void =>
    void said.set(connector, { ...said.get(connector), ...news });
  signals.on('lane.state', ({ connector, state }) => note(connector, { state }));
  signals.on('lane.cursor', ({ connector, cursor }) => note(connector, { cursor }));
  /** Connectors with a resync of all groups under way, whose progress one of some groups must not replace. */
  const whole = new Set<string>();
  signals.on('lane.resync', ({ connector, how: _, named, ...restore }) => {
    if (named && whole.has(connector)) return;
    if (named || restore.ended) whole.delete(connector);
    else whole.add(connector);
    note(connector, { restore });
  });
  signals.on('copy.state', ({ connector, copy }) => note(connector, { copy }));
  signals.on('relay.crashed', () => {
    for (const connector of said.keys()) note(connector, { state: { kind: 'connecting' } });
  });
  signals.on('config.reloaded', ({ removed }) => {
    for (const connector of removed) for (const known of [said, whole]) known.delete(connector);
  });
  return (connector: string): LaneHealth => ({
    state: { kind: 'connecting' },
    cursor: journal.cursor(connector),
    copy: journal.copy(connector),
    ...said.get(connector),
  });
}

/**
 * Returns since when each connector has had an open event (ms since 1970). `received` gives the receipt of the oldest, by
 * a clock that may have been set back since; then the time counts from when it was first seen open.
 */
export function watchOpen(
  { now, elapsed }: Pick<Clock, 'now' | 'elapsed'>,
  received: (connector: string) => number | undefined,
): (connector: string) => number | undefined {
  const seen = new Map<string, { readonly oldest: number; readonly at: number }>();
  return (connector) => {
    const oldest = received(connector);
    if (oldest === undefined) return undefined;
    const known = seen.get(connector);
    if (known?.oldest === oldest) return Math.min(oldest, now() - (elapsed() - known.at));
    seen.set(connector, { oldest, at: elapsed() });
    return Math.min(oldest, now());
  };
}
