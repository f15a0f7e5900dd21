import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';

/** The way of an event, from top to bottom: a file may import only from lines above its own. A new file needs a line. */
const WAY = `
src/canon/clock.ts
src/canon/fault.ts
src/canon/outcome.ts
src/canon/command.ts
src/canon/event.ts
src/canon/recorded.ts
src/canon/group.ts
src/canon/signal.ts
src/canon/trace.ts
src/consumer/message.ts
src/consumer/event.ts
src/consumer/group.ts
src/consumer/group-view.ts
src/consumer/index.ts
connectors/contract.ts
connectors/tls.ts
connectors/kafka/message.ts
connectors/kafka/fault.ts
connectors/kafka/partition.ts
connectors/kafka/client.ts
connectors/kafka/consumer.ts
connectors/kafka/examine.ts
connectors/kafka/connector.ts
connectors/elasticsearch/
connectors/file/
connectors/index.ts
src/config/schema.ts
src/config/environment.ts
src/config/problems.ts
src/config/json-schema.ts
src/config/syntax.ts
src/config/document.ts
src/config/refusals.ts
src/config/load.ts
src/intake/envelope.ts
src/intake/admission.ts
src/intake/commands.ts
src/intake/callback.ts
src/intake/authentication.ts
src/intake/mapping.ts
src/intake/forward.ts
src/intake/holding.ts
src/intake/quarantine.ts
src/intake/receiver.ts
src/intake/certificate.ts
src/intake/intake.ts
src/intake/connections.ts
src/intake/server.ts
src/journal/log.ts
src/journal/database.ts
src/journal/deliveries.ts
src/journal/groups.ts
src/journal/merged.ts
src/journal/history.ts
src/journal/reconciled.ts
src/journal/commit.ts
src/journal/append.ts
src/journal/quarantine.ts
src/journal/retention.ts
src/reconcile/tls-sig-api-v2.d.ts
src/reconcile/usersig.ts
src/reconcile/pace.ts
src/reconcile/api.ts
src/reconcile/drift.ts
src/reconcile/run.ts
src/reconcile/reconciler.ts
src/reconcile/reconciling.ts
src/relay/schedule.ts
src/relay/priority.ts
src/relay/filter.ts
src/relay/waiting.ts
src/relay/whereabouts.ts
src/relay/inquiries.ts
src/relay/lane.ts
src/relay/lanes.ts
src/relay/worker.ts
src/relay/relay.ts
src/relay/health.ts
src/relay/copies.ts
src/relay/operations.ts
src/worker/letters.ts
src/worker/letter-box.ts
src/worker/held.ts
src/worker/settle.ts
src/worker/member.ts
src/reload/change.ts
src/reload/reload.ts
src/watch/log.ts
src/watch/metrics/sources.ts
src/watch/metrics/callbacks.ts
src/watch/metrics/journal.ts
src/watch/metrics/lanes.ts
src/watch/metrics/reconcile.ts
src/watch/metrics/reload.ts
src/watch/metrics.ts
src/watch/guesses.ts
src/watch/sign-in.ts
src/watch/access.ts
src/watch/admin.ts
src/watch/api.ts
src/watch/worker-api.ts
src/watch/hour.ts
src/watch/flow.ts
src/watch/console/
src/bridge.ts
src/worker.ts
src/cli/terminal.ts
src/cli/examples.ts
src/cli/configuration.ts
src/cli/samples.ts
src/cli/send.ts
src/cli/start.ts
src/cli/admin.ts
src/cli/status.ts
src/cli/operate.ts
src/cli/watch.ts
src/cli/letters.ts
src/cli/reconcile.ts
src/cli/self-test.ts
src/cli/check.ts
src/cli/example-events.ts
src/cli/asyncapi.ts
src/cli/schema.ts
src/cli/demo.ts
src/cli.ts
`
  .trim()
  .split('\n');

const files = [...globSync('src/**/*.ts'), ...globSync('connectors/**/*.ts')].sort();

/** A folder's line stands for all its files, which may import each other. */
function line(file: string): number {
  return WAY.findIndex((entry) => file === entry || (entry.endsWith('/') && file.startsWith(entry)));
}

function importsOf(file: string): string[] {
  const source = readFileSync(file, 'utf8');
  return [...source.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map(([, path = '']) =>
    normalize(join(dirname(file), path)),
  );
}

describe('the tree reads as the way of an event', () => {
  test.each(files)('%s imports only from above', (file) => {
    expect(line(file), `${file} has no line in the way of an event`).toBeGreaterThanOrEqual(0);
    for (const imported of importsOf(file)) {
      expect(existsSync(imported), `${file} imports ${imported}, which is not there`).toBe(true);
      const inOneRoom = WAY[line(file)]?.endsWith('/') && line(imported) === line(file);
      if (!inOneRoom) expect(line(imported), `${file} imports ${imported}`).toBeLessThan(line(file));
      expect(line(imported), `${file} imports ${imported}, which has no line`).toBeGreaterThanOrEqual(0);
    }
  });

  test('no line is left of a file that is gone', () => {
    expect(WAY.filter((entry) => !existsSync(entry))).toEqual([]);
  });

  test('connectors import the words and the contract, nothing else of ours', () => {
    const strangers = files
      .filter((file) => /^connectors\/[^/]+\//.test(file))
      .flatMap((file) => importsOf(file).map((imported) => ({ file, imported })))
      .filter(
        ({ file, imported }) =>
          !/^(src\/canon\/|connectors\/(contract|tls)\.ts$)/.test(imported) && dirname(imported) !== dirname(file),
      );
    expect(strangers).toEqual([]);
  });

  test('no file hides behind a name that says nothing', () => {
    expect(files.filter((file) => /\b(utils?|helpers?|common|misc)\b/i.test(file))).toEqual([]);
  });

  test('kafkajs and the Elasticsearch client are known to a file or two each', () => {
    const knowing = (name: string): string[] =>
      files.filter((file) => readFileSync(file, 'utf8').includes(`from '${name}'`));
    expect(knowing('kafkajs')).toEqual(['connectors/kafka/client.ts', 'connectors/kafka/consumer.ts']);
    expect(knowing('@elastic/elasticsearch').every((file) => file.startsWith('connectors/elasticsearch/'))).toBe(true);
  });
});
