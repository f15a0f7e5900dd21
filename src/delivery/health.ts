import type { LaneState, SignalBus } from '../model/signal.ts';

export interface LaneHealth {
  readonly state: LaneState;
  /** Everything up to here is settled. */
  readonly cursor: number;
  /** How far the latest resync is, since the bridge started. */
  readonly restore?: {
    readonly done: number;
    readonly total: number;
    readonly mended: number;
    readonly failed: number;
    readonly ended: boolean;
  };
}

/** What each lane last said of itself; `cursorOf` is what the journal says of one that has said nothing yet. */
export function watchLanes(
  cursorOf: (connector: string) => number,
  signals: SignalBus,
): (connector: string) => LaneHealth {
  const cursors = new Map<string, number>();
  const states = new Map<string, LaneState>();
  signals.on('lane.state', ({ connector, state }) => states.set(connector, state));
  signals.on('lane.cursor', ({ connector, cursor }) => cursors.set(connector, cursor));
  const restores = new Map<string, NonNullable<LaneHealth['restore']>>();
  signals.on('lane.resync', ({ connector, how: _, named: __, ...restore }) => restores.set(connector, restore));
  signals.on('config.reloaded', ({ removed }) => {
    for (const connector of removed) for (const said of [cursors, states, restores]) said.delete(connector);
  });
  return (connector) => {
    const restore = restores.get(connector);
    const state = states.get(connector) ?? { kind: 'connecting' };
    return { state, cursor: cursors.get(connector) ?? cursorOf(connector), ...(restore !== undefined && { restore }) };
  };
}
