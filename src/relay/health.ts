import type { LaneState, SignalBus } from '../canon/signal.ts';

export interface LaneHealth {
  readonly state: LaneState;
  /** Everything up to here is settled. */
  readonly cursor: number;
}

/** What each lane last said of itself. */
export function watchLanes(
  connectors: ReadonlyMap<string, number>,
  signals: SignalBus,
): (connector: string) => LaneHealth {
  const cursors = new Map(connectors);
  const states = new Map<string, LaneState>();
  signals.on('lane.state', ({ connector, state }) => states.set(connector, state));
  signals.on('lane.cursor', ({ connector, cursor }) => cursors.set(connector, cursor));
  return (connector) => ({
    state: states.get(connector) ?? { kind: 'connecting' },
    cursor: cursors.get(connector) ?? 0,
  });
}
