/** Every sentence that zod has of its own: a newer zod that words one anew fails here, not before people. */
import { expect, test } from 'vitest';
import { z } from 'zod';
import { plainly } from '../../src/model/complaint.ts';

const cases: readonly (readonly [says: string, schema: z.ZodType, value: unknown])[] = [
  ['at least 1 item is expected', z.array(z.int()).min(1), []],
  ['at most 2 items are expected', z.array(z.int()).max(2), [1, 2, 3]],
  ['exactly 2 items are expected', z.array(z.int()).length(2), [1]],
  ['at least 1 character is expected', z.string().min(1), ''],
  ['at most 2 characters are expected', z.string().max(2), 'abc'],
  ['exactly 2 characters are expected', z.string().length(2), 'abc'],
  ['at least 1 item is expected', z.set(z.int()).min(1), new Set()],
  ['at most 1 item is expected', z.set(z.int()).max(1), new Set([1, 2])],
  ['at least 1 entry is expected', z.map(z.string(), z.int()).check(z.minSize(1)), new Map()],
  ['at least 1 is expected', z.number().min(1), 0],
  ['more than 0 is expected', z.number().positive(), 0],
  ['at most 10 is expected', z.int().max(10), 11],
  ['less than 10 is expected', z.number().lt(10), 10],
  ['at most -1.5 is expected', z.number().max(-1.5), 0],
  ['a multiple of 5 is expected', z.int().multipleOf(5), 7],
  ['a number is expected', z.number(), Number.NaN],
  ['a number is expected, not a text', z.number(), 'a'],
  ['a whole number is expected', z.int(), 1.5],
  ['a text is expected, not null', z.string(), null],
  ['a text is expected, not a list', z.string(), []],
  ['true or false is expected, not a number', z.boolean(), 1],
  ['a list is expected, not an object', z.array(z.int()), {}],
  ['an object is expected, not a text', z.strictObject({}), 'a'],
  ['an object is expected, not a number', z.record(z.string(), z.int()), 1],
  ['it is missing', z.string(), undefined],
  ['"a" is expected', z.literal('a'), 'b'],
  ['false is expected', z.literal(false), true],
  ['one of "a", "b" is expected', z.enum(['a', 'b']), 'c'],
  [
    `one of 'a', 'b' is expected`,
    z.discriminatedUnion('k', [z.object({ k: z.literal('a') }), z.object({ k: z.literal('b') })]),
    { k: 'c' },
  ],
  ['something else is expected', z.union([z.string(), z.int()]), true],
  ['something else is expected', z.custom(() => false), true],
  ['a text that matches /x/ is expected', z.string().regex(/x/), 'a'],
  ['a text that begins with "x" is expected', z.string().startsWith('x'), 'a'],
  ['a text that ends with "x" is expected', z.string().endsWith('x'), 'a'],
  ['a text that holds "x" is expected', z.string().includes('x'), 'a'],
  ['a valid URL is expected', z.url(), 'a'],
  ['a valid email address is expected', z.email(), 'a'],
  ['a valid base64-encoded string is expected', z.base64(), '?'],
  ['unknown key "b"', z.strictObject({}), { b: 1 }],
  ['unknown keys "b", "c"', z.strictObject({}), { b: 1, c: 1 }],
  ['a key in it is not allowed', z.record(z.string().min(2), z.int()), { a: 1 }],
  ['of the schema itself', z.string({ error: 'of the schema itself' }), 1],
];

test.each(cases)('%s', (says, schema, value) => {
  expect(schema.safeParse(value).error?.issues.map(({ message }) => plainly(message))).toEqual([says]);
});
