import { type Document, visit, type YAMLError } from 'yaml';

export interface Explanation {
  readonly offset: number;
  readonly message: string;
  readonly suggestion?: string;
}

/** What yaml found wrong with a text, so that its reader knows what to do. */
export function explain(error: YAMLError, document: Document, text: string): Explanation {
  // Here the colon is followed by the text itself, which may be a secret: an unquoted password can begin with |.
  const message = error.code === 'UNEXPECTED_TOKEN' ? error.message.replace(/: .*$/s, '') : error.message;
  const [offset] = error.pos;
  const say = (suggestion: string, at = offset, instead = message) => ({ offset: at, message: instead, suggestion });
  if (/^Missing closing .quote$/.test(message)) {
    return { offset: openingQuote(document, offset), message: 'this quote is never closed' };
  }
  if (text.slice(offset - 1, offset + 1) === '${') return say('inside [ ] and { } a variable needs quotes', offset - 1);
  switch (error.code) {
    case 'TAB_AS_INDENT':
      return say('indent with spaces');
    case 'BAD_SCALAR_START':
      return say('put the value in quotes');
    case 'BAD_DQ_ESCAPE':
      return say('double the \\, or use single quotes', offset, 'no such escape in double quotes');
    case 'TAG_RESOLVE_FAILED':
      return say('put text that begins with ! in quotes', offset, 'unknown tag');
    case 'BLOCK_AS_IMPLICIT_KEY':
      return say('mend the indentation, or put a value that holds ": " in quotes');
    case 'MULTIPLE_DOCS':
      return say('remove the --- and what follows it', offset, 'the file holds more than one YAML document');
    case 'RESOURCE_EXHAUSTION':
      return { offset, message: 'this is nested too deeply' };
    default:
      return { offset, message };
  }
}

/** The parser notices at the end of the file; people look for the beginning. */
function openingQuote(document: Document, end: number): number {
  let opening = end;
  visit(document, {
    Scalar(_key, scalar) {
      const [start = end, , over = end] = scalar.range ?? [];
      if (scalar.type?.startsWith('QUOTE') && start < end && over >= end) opening = start;
    },
  });
  return opening;
}
