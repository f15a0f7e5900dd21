import { placesOf } from '../../connectors/index.ts';
import type { ConnectorConfig } from '../config/schema.ts';
import type { Clock } from '../model/clock.ts';
import type { Lane, LanePosition, LaneRequest } from './lane.ts';

/** `heard` turns false when another lane has taken over: what this one still says then counts no more. */
export type StartOne = (
  connector: string,
  config: ConnectorConfig,
  from: LanePosition | undefined,
  heard: () => boolean,
) => Lane;

/** How long the batch that is with the sink may take. */
const FINISH_MS = 5_000;
/** How long a sink may take to heed the abort and close; one that does neither is abandoned. */
const CLOSE_MS = 3_000;

interface Running {
  readonly lane: Lane;
  readonly config: ConnectorConfig;
  readonly life: { state: 'running' | 'ending' | 'left' };
}

/** The lanes that end, each with where it leaves off. */
type Endings = Map<string, { readonly config: ConnectorConfig; readonly position: Promise<LanePosition> }>;

/** Whether both write to one place. */
const meet = (one: ConnectorConfig, other: ConnectorConfig): boolean =>
  placesOf(one).some(({ name }) => placesOf(other).some((place) => place.name === name));

/** The lanes of this thread, one an enabled connector. `has` says whether the journal still has an event. */
export function createLanes(startOne: StartOne, clock: Pick<Clock, 'sleep'>, has: (seq: number) => boolean) {
  const lanes = new Map<string, Running>();
  /** How far ended lanes were: should the connector come back, the journal may not say all of it yet. */
  const left = new Map<string, LanePosition>();
  /** Each resolves when the connector has its next lane, or none. */
  const exchanging = new Map<string, Promise<void>>();
  let draining = false;

  function begin(connector: string, config: ConnectorConfig, position: LanePosition | undefined): Lane {
    const life: Running['life'] = { state: 'running' };
    // While the connector was away, groups may have been forgotten.
    const waiting = position?.waiting.filter(({ entry }) => has(entry.seq)) ?? [];
    // The settings were changed, so what waited for its retry may be taken now.
    const from = position && { ...position, waiting: waiting.map((held) => ({ ...held, dueAt: 0 })) };
    const lane = startOne(connector, config, from, () => life.state !== 'left');
    left.delete(connector);
    lanes.set(connector, { lane, config, life });
    // A fault of the bridge itself: the thread ends of it, and is started again.
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
    // What is still being written there by another one, such as a line of a file, is not for this one's sink to mend.
    const before = [...ending.values()].filter((one) => config !== undefined && meet(one.config, config));
    await Promise.all(before.map(({ position }) => position));
    const lane = config && begin(connector, config, ended ?? left.get(connector));
    for (const { request, done } of ended?.requests ?? []) void Promise.resolve(lane?.ask(request)).then(done);
    if (lane !== undefined || ended === undefined) return;
    // What was to be brought to a connector that is removed is asked for anew when it comes back.
    for (const { done } of ended.resyncs ?? []) done();
    left.set(connector, { cursor: ended.cursor, waiting: ended.waiting });
  }

  return {
    /**
     * Ends the lanes of these connectors and begins those, each by itself: a connector in both is one whose settings
     * changed, and its next lane begins when the one before has ended, from where that left off; so does one that writes
     * where another did. Resolves when all of it is done, within a bounded time whatever the sinks do.
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
    /** Asks the connector's lane, or its next one while it is exchanged. Resolves when it is done, or none is left. */
    async ask(connector: string, request: LaneRequest): Promise<void> {
      await exchanging.get(connector);
      await lanes.get(connector)?.lane.ask(request);
    },
    running: (connector: string): Lane | undefined => lanes.get(connector)?.lane,
    wake(): void {
      for (const { lane } of lanes.values()) lane.wake();
    },
    /** See Lane. Resolves when all lanes have ended, whatever brought that about. */
    async drain(): Promise<void> {
      draining = true;
      for (const { lane } of lanes.values()) lane.drain();
      await Promise.all(exchanging.values());
      await Promise.all([...lanes.values()].map(({ lane }) => lane.ended));
    },
  };
}
