import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import type { Command } from 'commander';
import { BridgeError } from '../model/fault.ts';
import { isCheckout, packageFile } from './installation.ts';
import { addCommand, wholeNumber } from './options.ts';

export function addDemo(program: Command): void {
  const description = 'start a real Kafka and Elasticsearch, send callbacks through the bridge and show what arrived';
  addCommand(program, 'demo', description, 'demo --count 200 --keep')
    .option('--count <n>', 'how many callbacks beside the documented sample', wholeNumber(1), 1000)
    .option('--keep', 'leave everything running until Ctrl-C')
    .action(runDemo);
}

/** The demo is a script, since it starts the servers of the tests: only a checkout has both. */
async function runDemo(options: unknown): Promise<void> {
  const script = packageFile('scripts/demo.ts');
  if (!isCheckout || !existsSync(script)) {
    throw new BridgeError({
      code: 'command-failed',
      message: 'the demo needs a checkout of the source: its servers are those of the tests',
      suggestion: 'clone the repository and call npm run demo; here, start and send show the embedded default',
    });
  }
  const { demo } = (await import(pathToFileURL(script).href)) as { demo(options: unknown): Promise<void> };
  await demo(options);
}
