/** Tells the tests that ask for a real Kafka or Elasticsearch from those that do not: a run of the latter starts neither. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface Lanes {
  readonly withServers: string[];
  readonly without: string[];
}

/** The tests that another server answers, whatever they ask for. */
export const WITH_OPENSEARCH = 'test/connectors/opensearch.test.ts';

/** Sorts the files of tests by whether they, or what they import of test/, ask for servers with vitest's `inject`. */
export function lanes(): Lanes {
  const files = globSync('test/**/*.test.ts').filter((file) => file !== WITH_OPENSEARCH);
  const [withServers, without] = [true, false].map((wanted) => files.filter((file) => asks(file) === wanted));
  return { withServers: withServers ?? [], without: without ?? [] };
}

function asks(file: string, seen = new Set<string>()): boolean {
  seen.add(file);
  const text = readFileSync(file, 'utf8');
  if (/\binject\('/.test(text)) return true;
  // Some tests hold other sources as text; what these import need not be there.
  return [...text.matchAll(/from '(\.{1,2}\/[^']+\.ts)'/g)]
    .map(([, path = '']) => join(dirname(file), path))
    .some((path) => path.startsWith('test/') && existsSync(path) && !seen.has(path) && asks(path, seen));
}
