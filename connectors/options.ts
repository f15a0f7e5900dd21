import { z } from 'zod';
import type { OptionsSchema } from './contract.ts';

/** Returns what may be written for these options, as JSON Schema. */
export function inputSchemaOf(options: OptionsSchema<unknown>): z.core.JSONSchema.JSONSchema {
  // Schemas of another copy of zod 4 are read by what they are made of: nothing here asks for their class.
  return z.toJSONSchema(options as z.ZodType, { io: 'input', unrepresentable: 'any', target: 'draft-7' });
}
