import type { Hono } from 'hono';
import { unknownConnector } from '../delivery/operations.ts';
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
