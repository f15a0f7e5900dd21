/** The documents of the project, and their blocks and commands. */
import { globSync, readFileSync } from 'node:fs';

export const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'SECURITY.md',
  ...globSync('connectors/*/README.md'),
  ...globSync('docs/**/*.md'),
  ...globSync('{examples,examples/connector,observability,bench}/*.md'),
].sort();

export interface Block {
  readonly file: string;
  /** The position among all blocks of the file. */
  readonly index: number;
  /** `yaml`, `sh`, `json`, … */
  readonly language: string;
  readonly text: string;
}

/** Returns every block between fences, those indented in a list included. */
export function blocksOf(file: string): Block[] {
  const found = readFileSync(file, 'utf8').matchAll(/^( *)```(\w*)\n([\s\S]*?)^\1```$/gm);
  return [...found].map(([, indent = '', language = '', text = ''], index) => ({
    file,
    index,
    language,
    text: text.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  }));
}

/** Returns the commands of a `sh` block, each as its words; a pipe, `;` or `&&` begins another command. */
export function commandsIn(text: string): string[][] {
  const commands: string[][] = [];
  let words: string[] = [];
  const end = () => {
    if (words.length > 0) commands.push(words);
    words = [];
  };
  const tokens = text
    .replaceAll(/\\\n/g, ' ')
    .matchAll(/(?<end>\n|&&|\||;)|(?<comment>(?<=^|\s)#[^\n]*)|(?<word>(?:'[^']*'|"[^"]*"|[^\s'"|;&]|&(?!&))+)/g);
  for (const { groups = {} } of tokens) {
    if (groups.end !== undefined) end();
    // A variable set before a command is no word of it.
    else if (groups.word !== undefined && (words.length > 0 || !/^[A-Z_]+=/.test(groups.word)))
      words.push(groups.word.replaceAll(/'([^']*)'|"([^"]*)"/g, '$1$2'));
  }
  end();
  return commands;
}
