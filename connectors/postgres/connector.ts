import { oneHost } from '../../src/model/address.ts';
import type { Connector } from '../contract.ts';
import { columnProblems } from './columns.ts';
import { addressOf, type PostgresOptions, postgresOptions } from './options.ts';

export const postgres: Connector<PostgresOptions> = {
  kind: 'postgres',
  summary: 'Keeps one row per group, or a history of events, in a table of PostgreSQL.',
  options: postgresOptions,
  readsBack: true,
  shapes: [],
  shapeProblems: ({ content }, shape) => (content === 'groups' ? columnProblems(shape) : []),
  holds: ({ content }) => content,
  places(options) {
    const { host, port, database } = addressOf(options);
    const table = options.table.includes('.') ? options.table : `public.${options.table}`;
    const name = `table ${table} of ${database} at ${oneHost(host)}:${port}`;
    return [{ name, option: 'table', use: options.content }];
  },
  // Gathering coalesces a busy group into far fewer writes.
  maxWaitMs: 20,
  open: async (options, host, signal) => (await import('./sink.ts')).openSink(options, host, signal),
  async *examine(options, host, signal) {
    yield* (await import('./examine.ts')).examineTable(options, host, signal);
  },
};
