import type { Hono } from 'hono';
import { BridgeError } from '../model/fault.ts';
import { whichConnector } from '../model/text.ts';
import type { WorkerLane } from './lane.ts';

/** Adds what a person may ask of a worker's connectors. A pause lasts until the worker ends. */
export function addWorkerRoutes<App extends Pick<Hono, 'post' | 'fetch'>>(
  app: App,
  lanes: ReadonlyMap<string, WorkerLane>,
): App {
  for (const kind of ['pause', 'resume'] as const) {
    app.post(`/api/connectors/:name/${kind}`, async (context) => {
      const name = context.req.param('name') ?? '';
      const found = lanes.get(name);
      if (found === undefined) throw unknownConnector(name, [...lanes.keys()]);
      await found.lane.ask({ kind });
      return context.json({});
    });
  }
  return app;
}

function unknownConnector(name: string, known: readonly string[]): BridgeError {
  return new BridgeError({
    code: 'connector-unknown',
    message: `no connector called ${name} runs here`,
    suggestion: whichConnector(name, known),
  });
}
