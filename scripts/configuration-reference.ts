/** docs/reference/configuration.md: every key with type, default and description, from the schemas. */
import { connectors } from '../connectors/index.ts';
import { laneOptions } from '../src/config/connectors.ts';
import { configSchema } from '../src/config/schema.ts';
import { type Schema, schemaOf, settingTable } from './option-table.ts';

const LEAD = `One YAML file. Unknown keys are errors; all problems are told at once, each with line and column, by
\`npm run check -- --config FILE\`.

In any value, \`\${NAME}\` is an environment variable that must be set, \`\${NAME:-default}\` one that may be unset,
\`\${NAME:+value}\` is \`value\` when NAME is set, \`\${file:/run/secrets/token}\` what that file holds, and \`$\${\` a literal \`\${\`.

A *duration* is a number of milliseconds, or a number with \`ms\`, \`s\`, \`m\`, \`h\` or \`d\`, such as \`30s\`. A *size* is a number of
bytes, or a number with \`KiB\`, \`MiB\` or \`GiB\`.

The same as JSON Schema, for editors and programs: \`npm run bridge -- schema config\`.`;

export function configurationPage(): string {
  const { properties = {}, required } = schemaOf(configSchema);
  const sections = Object.entries(properties).filter(([key]) => key !== 'connectors');
  const sectioned = sections.filter(([, schema]) => objectIn(schema) !== undefined);
  const single = Object.fromEntries(sections.filter(([, schema]) => objectIn(schema) === undefined));
  return [
    '# Configuration',
    LEAD,
    ...sectioned.flatMap(([key, schema]) => [
      `## ${key}${required?.includes(key) ? ' (required)' : ''}`,
      ...(schema.description === undefined ? [] : [schema.description]),
      settingTable(objectIn(schema) ?? schema, `${key}.`),
    ]),
    '## Beside the sections',
    settingTable({ properties: single, ...(required && { required }) }),
    '## connectors (required)',
    `${properties.connectors?.description ?? ''} \`kind\` says which of these it is:`,
    connectors.map(({ kind, summary }) => `- [${kind}](../../connectors/${kind}/README.md): ${summary}`).join('\n'),
    'It may also be the path of a module, relative to this file, such as `./my-connector.mjs`, or the name of a package: [a connector of your own](../how-to/own-connector.md).',
    'Each kind has options of its own, listed on its page. Every connector takes these as well:',
    settingTable(schemaOf(laneOptions), 'connectors.NAME.'),
  ].join('\n\n');
}

function objectIn(schema: Schema): Schema | undefined {
  return [schema, ...(schema.anyOf ?? [])].find(({ properties }) => properties !== undefined);
}
