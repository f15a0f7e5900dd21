/** docs/reference/commands.md: every command with its arguments and options, from the command line's own help. */
import type { Command } from 'commander';
import { programOf } from '../src/cli/program.ts';

const program = await programOf();

const LEAD = `From a checkout: \`npm run bridge -- COMMAND\`; where the package is installed: \`npx group-sync-bridge COMMAND\`.

Exit 0: done. 1: it failed. 2: wrong usage or configuration. What went wrong is said on standard error; the
[errors](errors.md) are listed by their codes.`;

export function commandPage(): string {
  return ['# Commands', LEAD, ...leaves(program).flatMap(section)].join('\n\n');
}

/** Those that do something: not the groups above them. */
function leaves(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
}

function section(command: Command): string[] {
  const help = helpOf(command);
  return [`## ${nameOf(command)}`, `\`\`\`text\n${help}\n\`\`\``];
}

/** The width of the documents' lines, whatever the terminal's is. */
function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
    getOutHelpWidth: () => 110,
    getOutHasColors: () => false,
  });
  command.outputHelp();
  return text.trimEnd();
}

function nameOf(command: Command): string {
  const above = command.parent;
  return above === null || above === program ? command.name() : `${nameOf(above)} ${command.name()}`;
}
