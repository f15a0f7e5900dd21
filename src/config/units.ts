import { z } from 'zod';
import { wireType } from '../model/event.ts';

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds, written as a number or as `250ms`, `30s`, `5m`, `6h`, `7d`. */
export const duration = z.union(
  [
    z.int().nonnegative(),
    z
      .string()
      .regex(/^\d+(\.\d+)?(ms|s|m|h|d)$/)
      .transform((text) => {
        const [, amount = '0', unit = 'ms'] = /^([\d.]+)(\w+)$/.exec(text) ?? [];
        return Math.round(Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS]);
      }),
  ],
  { error: 'a duration is expected: milliseconds, or a number with ms, s, m, h or d, such as 30s' },
);

const UNIT_BYTES = { KiB: 1_024, MiB: 1_048_576, GiB: 1_073_741_824 } as const;

const SIZE_EXPECTED = {
  error: 'a size of at least 1MiB is expected: bytes, or a number with KiB, MiB or GiB, such as 10GiB',
};

/** Bytes, written as a number or as `512KiB`, `64MiB`, `10GiB`. */
export const bytes = z.union(
  [
    z.int().min(UNIT_BYTES.MiB),
    z
      .string()
      .regex(/^\d+(KiB|MiB|GiB)$/)
      .transform((text) => Number.parseInt(text, 10) * UNIT_BYTES[text.slice(-3) as keyof typeof UNIT_BYTES])
      .refine((size) => size >= UNIT_BYTES.MiB, SIZE_EXPECTED),
  ],
  SIZE_EXPECTED,
);

export const text = z.string().min(1);

export const whole = (least: number, most: number): z.ZodInt => z.int().min(least).max(most);

/** Types of groups by any of their names, without repetitions. */
export const groupTypes = z
  .array(text)
  .min(1)
  .transform((types) => [...new Set(types.map(wireType))]);
