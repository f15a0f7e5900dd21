import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Command } from 'commander';
import type { DemoOptions } from './embedded-demo.ts';
import { commandLine, isCheckout, packageFile } from './installation.ts';
import { addCommand, failed, wholeNumber } from './options.ts';

export function addDemo(program: Command): void {
  const description = 'start a real Kafka and Elasticsearch, send callbacks through the bridge and show what arrived';
  addCommand(program, 'demo', description, 'demo --embedded', 'demo --count 200 --keep')
    .option('--embedded', 'in seconds, with nothing but Node: events go to a file, and a reader follows it', false)
    .option('--count <n>', 'how many callbacks besides the sample (default: 1000, embedded 200)', wholeNumber(1))
    .option('--keep', 'leave everything running until Ctrl-C')
    .addHelpText(
      'after',
      '\nKAFKA_BROKERS and ELASTICSEARCH_URL name servers to use instead; it writes there under its own names.',
    )
    .action(runDemo);
}

interface Options extends Partial<DemoOptions> {
  readonly embedded: boolean;
}

async function runDemo({ embedded, count = embedded ? 200 : 1_000, keep = false }: Options): Promise<void> {
  if (!embedded) return (await serversDemo())({ count, keep });
  const { embeddedDemo } = await import('./embedded-demo.ts');
  const folder = mkdtempSync(join(tmpdir(), 'group-sync-bridge-demo-'));
  try {
    await embeddedDemo({ count, keep }, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The demo with servers is a script that starts those of the tests; only a checkout has both. */
async function serversDemo(): Promise<(options: DemoOptions) => Promise<void>> {
  const script = packageFile('scripts/demo.ts');
  if (isCheckout && existsSync(script)) {
    return ((await import(pathToFileURL(script).href)) as { demo: (options: DemoOptions) => Promise<void> }).demo;
  }
  throw failed(
    'the demo needs a checkout of the source: its servers are those of the tests',
    `clone the repository and run npm run demo; here, ${commandLine('demo --embedded')} needs no servers`,
  );
}
