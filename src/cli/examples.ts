import type { Command } from 'commander';
import { commandLine } from './terminal.ts';

/** What --help closes with, by the words of the command. Names and ids in them are made up. */
const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  start: ['start --config config/kafka-elasticsearch.yaml'],
  check: ['check --connect --config config/kafka-elasticsearch.yaml'],
  send: ['send --count 1000 --rate 100 --groups 50', 'send --to https://chat.example.com/callback'],
  status: ['status', 'status --watch', 'status --json --admin http://10.0.0.5:8081'],
  reload: ['reload'],
  pause: ['pause group-index'],
  resume: ['resume group-index'],
  replay: [
    'replay group-index --from groups',
    'replay audit-file --from 2026-01-31T12:00:00Z',
    'replay group-events --from 1200 --no-wait',
  ],
  reconcile: ['reconcile --dry-run --against group-index', 'reconcile --group @TGS#2J4SZEAEL'],
  'dead-letters list': ['dead-letters list group-index --limit 20'],
  'dead-letters show': ['dead-letters show group-index 1042'],
  'dead-letters retry': ['dead-letters retry group-index', 'dead-letters retry group-index 1042 1043'],
  'dead-letters discard': ['dead-letters discard group-index 1042', 'dead-letters discard group-index --all'],
  'quarantine list': ['quarantine list'],
  'quarantine retry': ['quarantine retry'],
  'quarantine discard': ['quarantine discard 7 8', 'quarantine discard --all'],
  schema: ['schema config > bridge.schema.json', 'schema asyncapi --config config/kafka-elasticsearch.yaml'],
  demo: ['demo --count 200 --keep'],
};

/** Closes the help of each command that has an example with it. */
export function addExamples(program: Command, words: readonly string[] = []): void {
  for (const command of program.commands) {
    const own = [...words, command.name()];
    const examples = EXAMPLES[own.join(' ')] ?? [];
    if (examples.length > 0) {
      const lines = examples.map((example) => `  ${commandLine(example)}`).join('\n');
      command.addHelpText('after', `\n${examples.length === 1 ? 'Example' : 'Examples'}:\n${lines}`);
    }
    addExamples(command, own);
  }
}
