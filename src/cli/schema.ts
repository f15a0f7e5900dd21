import { type Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { asyncApi } from '../../connectors/index.ts';
import { receivedEvent } from '../client/event.ts';
import { configJsonSchema } from '../config/json-schema.ts';
import { group } from '../model/group.ts';
import { nearest } from '../model/text.ts';
import { requireConfig } from './configuration.ts';
import { exampleEvents } from './example-events.ts';
import { version } from './installation.ts';
import { examples } from './options.ts';
import { print } from './terminal.ts';

/** The schemas of all that others read or write, by name. */
const SCHEMAS: Readonly<Record<string, (configName: string | undefined) => unknown>> = {
  event: () => z.toJSONSchema(receivedEvent),
  group: () => z.toJSONSchema(group),
  config: () => configJsonSchema(),
  asyncapi: (name) =>
    asyncApi(version(), exampleEvents(), name === undefined ? undefined : requireConfig(name).config.connectors),
};
const NAMES = Object.keys(SCHEMAS);

export function addSchema(program: Command): void {
  program
    .command('schema')
    .description(
      'print the JSON Schema of the event, the group or the configuration, or the AsyncAPI document of the topics',
    )
    .argument('<name>', NAMES.join(', '), parseName)
    .option('--config <file>', 'of asyncapi: describe the topics of this configuration instead of the default ones')
    .addHelpText(
      'after',
      examples('schema config > bridge.schema.json', 'schema asyncapi --config config/kafka-elasticsearch.yaml'),
    )
    .action((name: string, { config }: { config?: string }) => print(JSON.stringify(SCHEMAS[name]?.(config), null, 2)));
}

function parseName(name: string): string {
  if (NAMES.includes(name)) return name;
  const near = nearest(name, NAMES);
  const hint = near === undefined ? '' : `\n(Did you mean ${near}?)`;
  throw new InvalidArgumentError(`one of ${NAMES.join(', ')} is expected${hint}`);
}
