/** Returns the source of a connector module that keeps ids of events in a file; `methods` are its `deliver` and `find`. */
export const idsModule = (methods: string): string => `
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { z } from 'group-sync-bridge/connector';

export default {
  kind: 'ids',
  summary: 'Keeps ids.',
  options: z.strictObject({ file: z.string() }),
  readsBack: false,
  holds: () => 'events',
  places: ({ file }) => [{ name: file, option: 'file' }],
  open: async ({ file }) => ({
    holds: 'events',
    identify: async () => ({ identity: 'one' }),
    close: async () => {},
    ${methods}
  }),
  async *examine() {},
};
`;
