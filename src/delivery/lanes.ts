import { placesOf } from '../../connectors/index.ts';
import type { ConnectorConfig } from '../config/schema.ts';
import type { Clock } from '../model/clock.ts';
import type { Lane, LanePosition, LaneRequest } from './lane.ts';

/** `heard` turns false once another lane has taken over; what this one reports is then ignored. */
export type StartOne = (
  connector: string,
  config: ConnectorConfig,
  from: LanePosition | undefined,
  heard: () => boolean,
) => Lane;

/** How long the batch in flight may take. */
const FINISH_MS = 5_000;
/** How long a sink may take to react to the abort and close before it is abandoned. */
const CLOSE_MS = 3_000;

interface Running {
  readonly lane: Lane;
  readonly config: ConnectorConfig;
  readonly life: { state: 'running' | 'ending' | 'left' };
}

/** The lanes being ended, each with the position where it stops. */
type Endings = Map<string, { readonly config: ConnectorConfig; readonly position: Promise<LanePosition> }>;

/** Whether both write to the same place. */
const meet = (one: ConnectorConfig, other: ConnectorConfig): boolean =>
  placesOf(one).some(({ name }) => placesOf(other).some((place) => place.name === name));

/** The lanes of this thread, one per enabled connector. `has` tells whether the journal still holds an event. */
export function createLanes(startOne: StartOne, clock: Pick<Clock, 'sleep'>, has: (seq: number) => boolean) {
  const lanes = new Map<string, Running>();
  /** Positions of ended lanes: if the connector returns, the journal may not have caught up. */
  const left = new Map<string, LanePosition>();
  /** Each resolves once the connector has its next lane, or none. */
  const exchanging = new Map<string, Promise<void>>();
  let draining = false;

  function begin(connector: string, config: ConnectorConfig, position: LanePosition | undefined): Lane {
    const life: Running['life'] = { state: 'running' };
    // While the connector was away, groups may have been forgotten.
    const waiting = position?.waiting.filter(({ entry }) => has(entry.seq)) ?? [];
    // The settings have changed, so waiting entries may be accepted now.
    const from = position && { ...position, waiting: waiting.map((held) => ({ ...held, dueAt: 0 })) };
    const lane = startOne(connector, config, from, () => life.state !== 'left');
    left.delete(connector);
    lanes.set(connector, { lane, config, life });
    // A bug in the bridge: rethrown, it ends the thread, which is then restarted.
    lane.ended.catch((thrown) => {
      if (life.state === 'running') throw thrown;
    });
    if (draining) lane.drain();
    return lane;
  }

  async function end(connector: string, { lane, life }: Running): Promise<LanePosition> {
    life.state = 'ending';
    lane.end(FINISH_MS);
    const timer = new AbortController();
    await Promise.race([lane.ended.catch(() => {}), clock.sleep(FINISH_MS + CLOSE_MS, timer.signal)]);
    timer.abort();
    const position = lane.leave();
    life.state = 'left';
    lanes.delete(connector);
    return position;
  }

  async function exchangeOne(connector: string, config: ConnectorConfig | undefined, ending: Endings): Promise<void> {
    const ended = await ending.get(connector)?.position;
    // Another lane may still be writing to the same place, and this sink must not repair its unfinished line.
    const before = [...ending.values()].filter((one) => config !== undefined && meet(one.config, config));
    await Promise.all(before.map(({ position }) => position));
    const lane = config && begin(connector, config, ended ?? left.get(connector));
    for (const { request, done } of ended?.requests ?? []) void Promise.resolve(lane?.ask(request)).then(done);
    if (lane !== undefined || ended === undefined) return;
    // The connector was removed: its resyncs are asked for again if it returns.
    for (const { done } of ended.resyncs ?? []) done();
    left.set(connector, { cursor: ended.cursor, waiting: ended.waiting });
  }

  return {
    /**
     * Ends and begins lanes, each independently. A connector in both has changed settings: its next lane begins where the
     * previous one stopped, once that has ended; so does a lane that writes where another did. Resolves within a bounded
     * time, whatever the sinks do.
     */
    async exchange(ending: readonly string[], beginning: Readonly<Record<string, ConnectorConfig>>): Promise<void> {
      const names = new Set([...ending, ...Object.keys(beginning)]);
      const endings: Endings = new Map();
      for (const connector of names) {
        const running = lanes.get(connector);
        if (running !== undefined)
          endings.set(connector, { config: running.config, position: end(connector, running) });
      }
      for (const connector of names) {
        const exchange = exchangeOne(connector, beginning[connector], endings).finally(() =>
          exchanging.delete(connector),
        );
        exchanging.set(connector, exchange);
      }
      await Promise.all(exchanging.values());
    },
    /** Asks the connector's lane, or its next one during an exchange. Resolves when that is done, or if there is no lane. */
    async ask(connector: string, request: LaneRequest): Promise<void> {
      await exchanging.get(connector);
      await lanes.get(connector)?.lane.ask(request);
    },
    running: (connector: string): Lane | undefined => lanes.get(connector)?.lane,
    wake(): void {
      for (const { lane } of lanes.values()) lane.wake();
    },
    /** See Lane. Resolves when all lanes have ended, for whatever reason. */
    async drain(): Promise<void> {
      draining = true;
      for (const { lane } of lanes.values()) lane.drain();
      await Promise.all(exchanging.values());
      await Promise.all([...lanes.values()].map(({ lane }) => lane.ended));
    },
  };
}
