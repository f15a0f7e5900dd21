import { z } from 'zod';
import { canonicalEvent } from '../canon/event.ts';
import { group } from '../canon/group.ts';
import { configJsonSchema } from '../config/json-schema.ts';

export const SCHEMAS = ['event', 'group', 'config'] as const;

/** JSON Schema of what others read or write. */
export function jsonSchema(name: (typeof SCHEMAS)[number]): unknown {
  switch (name) {
    case 'event':
      return z.toJSONSchema(canonicalEvent);
    case 'group':
      return z.toJSONSchema(group);
    case 'config':
      return configJsonSchema();
  }
}
