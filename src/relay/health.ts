import type { LaneState, SignalBus } from '../canon/signal.ts';

export interface LaneHealth {
  readonly state: LaneState;
  /** Everything up to here is settled. */
  readonly cursor: number;
  /** Of the latest restore, since the bridge started. */
  readonly restore?: {
    readonly done: number;
    readonly total: number;
    readonly mended: number;
    readonly failed: number;
    readonly ended: boolean;
  };
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
  const restores = new Map<string, NonNullable<LaneHealth['restore']>>();
  signals.on('lane.restored', ({ connector, ...restore }) => restores.set(connector, restore));
  return (connector) => {
    const restore = restores.get(connector);
    const state = states.get(connector) ?? { kind: 'connecting' };
    return { state, cursor: cursors.get(connector) ?? 0, ...(restore !== undefined && { restore }) };
  };
}
