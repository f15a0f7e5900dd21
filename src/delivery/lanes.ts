import type { ConnectorConfig } from '../config/schema.ts';
import type { Clock } from '../model/clock.ts';
import type { Lane, Standing } from './lane.ts';

/** The lanes of this thread, one per enabled connector. They come and go while the others go on. */
export interface Lanes {
  /**
   * Ends the lanes of these connectors and begins those, each by itself: a connector in both is one whose settings
   * changed, and its next lane begins when the one before has ended, from where that left off. Resolves when all of it
   * is done, within a bounded time whatever the sinks do.
   */
  exchange(ending: readonly string[], beginning: Readonly<Record<string, ConnectorConfig>>): Promise<void>;
  /** Asks the connector's lane for something; its next one while it is exchanged. */
  ask(connector: string, request: (lane: Lane) => void): void;
  /** The connector's lane as it is now. */
  running(connector: string): Lane | undefined;
  wake(): void;
  /** See Lane. Resolves when all lanes have ended, whatever brought that about. */
  drain(): Promise<void>;
}

/** `heard` turns false when another lane has taken over: what this one still says then counts no more. */
export type StartOne = (
  connector: string,
  config: ConnectorConfig,
  from: Standing | undefined,
  heard: () => boolean,
) => Lane;

/** For the batch that is with the sink. */
const FINISH_MS = 5_000;
/** For a sink to heed the abort and close; one that does neither is left behind. */
const CLOSE_MS = 3_000;

interface Running {
  readonly lane: Lane;
  readonly life: { state: 'running' | 'ending' | 'left' };
}

export function createLanes(startOne: StartOne, clock: Pick<Clock, 'sleep'>): Lanes {
  const lanes = new Map<string, Running>();
  /** Of lanes that ended: should the connector come back, the journal may not say all of it yet. */
  const left = new Map<string, Standing>();
  const exchanged = new Map<string, ((lane: Lane) => void)[]>();
  let exchanging: Promise<unknown> = Promise.resolve();
  let draining = false;

  function begin(connector: string, config: ConnectorConfig): Lane {
    const life: Running['life'] = { state: 'running' };
    const lane = startOne(connector, config, left.get(connector), () => life.state !== 'left');
    left.delete(connector);
    lanes.set(connector, { lane, life });
    // A fault of the bridge itself: the thread ends of it, and is started again.
    lane.ended.catch((thrown) => {
      if (life.state === 'running') throw thrown;
    });
    if (draining) lane.drain();
    return lane;
  }

  async function end(connector: string, { lane, life }: Running): Promise<Standing> {
    life.state = 'ending';
    lane.end(FINISH_MS);
    const timer = new AbortController();
    await Promise.race([lane.ended.catch(() => {}), clock.sleep(FINISH_MS + CLOSE_MS, timer.signal)]);
    timer.abort();
    const standing = lane.leave();
    life.state = 'left';
    lanes.delete(connector);
    return standing;
  }

  async function exchangeOne(connector: string, config: ConnectorConfig | undefined): Promise<void> {
    const asked: ((lane: Lane) => void)[] = [];
    exchanged.set(connector, asked);
    const running = lanes.get(connector);
    if (running !== undefined) {
      const { restore, ...standing } = await end(connector, running);
      left.set(connector, { ...standing, ...(config !== undefined && { restore }) });
    }
    exchanged.delete(connector);
    if (config === undefined) return;
    const lane = begin(connector, config);
    for (const request of asked) request(lane);
  }

  return {
    async exchange(ending, beginning) {
      const connectors = [...new Set([...ending, ...Object.keys(beginning)])];
      exchanging = Promise.all(connectors.map((connector) => exchangeOne(connector, beginning[connector])));
      await exchanging;
    },
    ask(connector, request) {
      const asked = exchanged.get(connector);
      if (asked !== undefined) asked.push(request);
      else {
        const running = lanes.get(connector);
        if (running !== undefined) request(running.lane);
      }
    },
    running: (connector) => lanes.get(connector)?.lane,
    wake() {
      for (const { lane } of lanes.values()) lane.wake();
    },
    async drain() {
      draining = true;
      for (const { lane } of lanes.values()) lane.drain();
      await exchanging;
      await Promise.all([...lanes.values()].map(({ lane }) => lane.ended));
    },
  };
}
