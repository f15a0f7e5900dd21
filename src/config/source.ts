import type { z } from 'zod';
import { source as kind } from '../../connectors/index.ts';

/** What a worker reads; its schema is that of its kind. */
export const source = kind.options;

export type Source = z.output<typeof source>;
