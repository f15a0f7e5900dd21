import { z } from 'zod';
import { receivedEvent } from '../client/event.ts';
import { configJsonSchema } from '../config/json-schema.ts';
import { group } from '../model/group.ts';
import { asyncApi } from './asyncapi.ts';
import { requireConfig } from './configuration.ts';

export const SCHEMAS = ['event', 'group', 'config', 'asyncapi'] as const;

/** What others read or write, as JSON Schema; of `asyncapi` the topics, as the configuration names them where one is given. */
export function describeSchema(name: (typeof SCHEMAS)[number], version: string, config: string | undefined): unknown {
  switch (name) {
    case 'event':
      return z.toJSONSchema(receivedEvent);
    case 'group':
      return z.toJSONSchema(group);
    case 'config':
      return configJsonSchema();
    case 'asyncapi':
      return asyncApi(version, config === undefined ? undefined : requireConfig(config).config);
  }
}
