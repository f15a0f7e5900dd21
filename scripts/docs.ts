/** Writes the parts of the documents that are made from the sources: `npm run docs`. With --check it only names what would change, exit 1. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connectors } from '../connectors/index.ts';
import { configJsonSchema } from '../src/config/json-schema.ts';
import { commandPage } from './command-reference.ts';
import { configurationPage } from './configuration-reference.ts';
import { consumerTypes } from './consumer-types.ts';
import { errorPage } from './error-reference.ts';
import { optionTable } from './option-table.ts';
import { serviceCodePage } from './service-codes.ts';

const NOTE = '<!-- Made by `npm run docs` from the sources: change it there. -->';

const page = (text: string): string => `${NOTE}\n\n${text}\n`;

/** Returns a connector's README with the table of its options between the marks; begins one where there is none. */
function withOptions({ kind, summary, options }: (typeof connectors)[number]): [file: string, text: string] {
  const file = `connectors/${kind}/README.md`;
  const marks = /(<!-- options -->\n)[\s\S]*?(<!-- \/options -->)/;
  const begun = `# ${kind}\n\n${summary}\n\n## Options\n\n<!-- options -->\n<!-- /options -->\n`;
  const text = existsSync(file) ? readFileSync(file, 'utf8') : begun;
  if (!marks.test(text)) throw new Error(`${file} has no <!-- options --> … <!-- /options -->`);
  return [file, text.replace(marks, (_, start, end) => `${start}\n${optionTable(options)}\n\n${end}`)];
}

const made: [file: string, text: string][] = [
  ['docs/reference/configuration.md', page(configurationPage())],
  ['docs/reference/commands.md', page(commandPage())],
  ['docs/reference/errors.md', page(errorPage())],
  ['docs/reference/service-codes.md', page(serviceCodePage())],
  ['src/client/types.ts', consumerTypes()],
  ['config/bridge.schema.json', `${JSON.stringify(configJsonSchema(), null, 2)}\n`],
  ...connectors.map(withOptions),
];

const check = process.argv.includes('--check');
for (const [file, text] of made) {
  if (same(file, text)) continue;
  if (check) {
    process.stderr.write(`${file} is not what the sources say: npm run docs\n`);
    process.exitCode = 1;
  } else {
    writeFileSync(file, text);
    process.stdout.write(`${file} written\n`);
  }
}

/** JSON by its meaning: the formatter has its own line breaks. */
function same(file: string, text: string): boolean {
  let before: string;
  try {
    before = readFileSync(file, 'utf8');
  } catch {
    return false;
  }
  if (!file.endsWith('.json')) return before === text;
  return JSON.stringify(JSON.parse(before)) === JSON.stringify(JSON.parse(text));
}
