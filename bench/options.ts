import { parseArgs } from 'node:util';

/** The phases in the order in which they run. */
export const PHASES = [
  'bare',
  'maximum',
  'turns',
  'sustained',
  'cost',
  'delivery',
  'outages',
  'backlog',
  'start',
  'peers',
] as const;
export type PhaseName = (typeof PHASES)[number];

export interface Options {
  readonly only: ReadonlySet<PhaseName>;
  /** The duration of one measurement. */
  readonly ms: number;
  /**
   * Once, before anything is measured that loads Kafka and Elasticsearch: what they compile in their first two minutes takes
   * up to half of what two cores give, from whatever is measured beside them.
   */
  readonly serversWarmUpMs: number;
  /** Before each: code is compiled, pages are cached, connections are open. */
  readonly warmUpMs: number;
  readonly backlogEvents: number;
  readonly journalEvents: number;
  readonly peers: readonly string[];
  readonly json: boolean;
  readonly profile: boolean;
  readonly built: boolean;
  readonly quick: boolean;
}

export const USAGE = `npm run bench -- [options]

  --only a,b            only these phases: ${PHASES.join(', ')}
  --seconds N           how long each measurement takes (15)
  --quick               a small run: 3 s each, a backlog of 30,000, a journal of 50,000
  --backlog N           events of the backlog that is drained (500000)
  --journal N           events of the large journal that a bridge is started on (1000000)
  --peers a,b           peers that run beside it: node-red, camel, vector, fluent-bit
  --profile             each bridge leaves its CPU profiles in bench/results/profiles/ (slower: not for figures)
  --built               the built package, as in a container, instead of the sources
  --json                prints the results as JSON instead of the table
`;

/** Throws a TypeError that says what is wrong with them. */
export function readOptions(args: readonly string[]): Options | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      seconds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      backlog: { type: 'string' },
      journal: { type: 'string' },
      peers: { type: 'string', default: '' },
      json: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      built: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const { quick, json, profile, built } = values;
  const number = (name: 'seconds' | 'backlog' | 'journal', otherwise: number): number => {
    const given = values[name];
    if (given === undefined) return otherwise;
    const read = Number(given);
    if (!(read > 0)) throw new TypeError(`--${name}: ${given} is not a number above 0`);
    return read;
  };
  const names = list(values.only ?? PHASES.join(','));
  const unknown = names.find((name) => !PHASES.some((phase) => phase === name));
  if (unknown !== undefined) throw new TypeError(`--only: ${unknown} is none of ${PHASES.join(', ')}`);
  const ms = number('seconds', quick ? 3 : 15) * 1_000;
  return {
    only: new Set(names as PhaseName[]),
    ms,
    serversWarmUpMs: quick ? 0 : 120_000,
    warmUpMs: quick ? 1_500 : 8_000,
    backlogEvents: number('backlog', quick ? 30_000 : 500_000),
    journalEvents: number('journal', quick ? 50_000 : 1_000_000),
    peers: list(values.peers),
    json,
    profile,
    built,
    quick,
  };
}

function list(text: string): string[] {
  return text
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean);
}
