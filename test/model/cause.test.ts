import fc from 'fast-check';
import { expect, test } from 'vitest';
import { causeOf } from '../../src/model/cause.ts';
import type { Fault } from '../../src/model/fault.ts';

const refused = (message: string): Fault => ({ code: 'event-refused', message });

test.each([
  [
    'a value of a wrong type',
    (id: string, value: string) =>
      `Elasticsearch refused the document: document_parsing_exception: [1:23] failed to parse field [data.changed.name] of type [integer] in document with id '${id}'. Preview of field's value: '${value}'; caused by illegal_argument_exception: For input string: "${value}"`,
    'Elasticsearch refused the document: document_parsing_exception: [#] failed to parse field [data.changed.name] of type [integer] in document with id …. Preview of the value: …',
  ],
  [
    'a size',
    (_: string, value: string) => `Kafka takes no record of ${value.length} bytes`,
    'Kafka takes no record of # bytes',
  ],
  ['what stands in quotes after an apostrophe', (id: string) => `it doesn't fit '${id}'`, "it doesn't fit …"],
  ['a group', (id: string) => `The group @TGS#${id} was changed by others`, 'The group … was changed by others'],
])('%s makes no cause of its own', (_, message, reason) => {
  const id = fc.stringMatching(/^[a-z0-9]{20}$/);
  fc.assert(
    fc.property(id, id, fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (one, other, a, b) => {
      const quoted = (text: string): string => text.replaceAll(/['"]/g, '');
      const first = causeOf(refused(message(one, quoted(a))));
      expect(causeOf(refused(message(other, quoted(b))))).toEqual(first);
      expect(first.reason.startsWith(reason)).toBe(true);
    }),
  );
});

test('nor does a value that a long message is cut in', () => {
  const cut = (value: string) => `failed to parse field [name]. Preview of field's value: '${value}'`.slice(0, 1_000);
  const [one, ...others] = ['x', "it's ", '长', 'say "y" '].map((part) => causeOf(refused(cut(part.repeat(1_000)))));
  expect(one?.reason).toBe('failed to parse field [name]. Preview of the value: …');
  for (const other of others) expect(other).toEqual(one);
  // Of any other message, too.
  const quote = (value: string) => causeOf(refused(`it doesn't fit "${value}`.slice(0, 100)));
  expect(quote('x'.repeat(200))).toEqual(quote('长'.repeat(200)));
});

test('other fields, types and codes are other causes', () => {
  const messages = ['failed to parse field [a] of type [long]', 'failed to parse field [b] of type [long]'];
  const ids = messages.map((message) => causeOf(refused(message)).id);
  expect(new Set([...ids, causeOf({ code: 'event-too-large', message: messages[0] ?? '' }).id]).size).toBe(3);
});
