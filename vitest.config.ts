import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { lanes, WITH_OPENSEARCH } from './test/servers/lanes.ts';

const { withServers, without } = lanes();

// Some hundred processes are started, most of them the same program: each takes half as long where it finds it compiled.
process.env.NODE_COMPILE_CACHE ??= resolve('node_modules/.cache/compiled');

/** Vitest begins with the largest file. These are small and take long: as the last ones they would run alone. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification): boolean => LONG.some((file) => moduleId.endsWith(file));
    const [long, others] = [sorted.filter(isLong), sorted.filter((file) => !isLong(file))];
    // Not the very first: the server of OpenSearch is starting.
    return [...others.slice(0, START), ...long, ...others.slice(START)];
  }
}
const START = 8;
const LONG = [WITH_OPENSEARCH, 'connectors/members.test.ts', 'docs/examples.test.ts', 'servers/servers.test.ts'];

export default defineConfig({
  test: {
    // Vitest runs the set-up of a project only when files of it are run: most rooms start no servers.
    projects: [
      { extends: true, test: { name: 'own', include: without } },
      { extends: true, test: { name: 'servers', include: withServers, globalSetup: ['test/servers/global-setup.ts'] } },
      {
        extends: true,
        test: {
          name: 'opensearch',
          include: [WITH_OPENSEARCH],
          globalSetup: ['test/servers/opensearch-setup.ts'],
          setupFiles: ['test/servers/opensearch-ready.ts'],
        },
      },
    ],
    setupFiles: ['test/support/properties.setup.ts'],
    testTimeout: 60_000,
    // On a busy machine what is waited for comes late; vitest's own second is too short for that.
    expect: { poll: { timeout: 30_000 } },
    // What a run elsewhere failed on is in its log alone: whole values, not "{ events: 'in-step', …(4) }".
    chaiConfig: { truncateThreshold: 2_000 },
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    // One more than the cores that there are at least: much of a test's time is waiting.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
    // The tests’ own clients of kafkajs set timers in the past, and Node 24 would say so.
    execArgv: ['--disable-warning=TimeoutNegativeWarning'],
  },
});
