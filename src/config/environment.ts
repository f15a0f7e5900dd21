// biome-ignore-all lint/suspicious/noTemplateCurlyInString: this is the file about them
import { readFileSync } from 'node:fs';

/** Names and values, as in `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What is wrong in a text, and at which character of it. */
export interface ExpansionFault {
  readonly index: number;
  readonly message: string;
  readonly suggestion: string;
}

export interface Expansion {
  readonly text: string;
  /** The names the text mentions; none when it holds no `${`. */
  readonly variables: readonly string[];
  readonly faults: readonly ExpansionFault[];
}

type Part = string | Reference;

interface Reference {
  readonly index: number;
  /** Of a variable, or the path of a file. */
  readonly name: string;
  readonly operator?: '-' | '+' | 'file';
  readonly operand: readonly Part[];
}

type Parsed<T> =
  | { readonly ok: true; readonly value: T; readonly end: number }
  | { readonly ok: false; readonly fault: ExpansionFault };

const FORMS = '${NAME}, ${NAME:-default}, ${NAME:+value} and ${file:/path} are known, and $${ for a literal ${';

/**
 * Expands `${NAME}`, `${NAME:-default}` (unset or empty) and `${NAME:+value}` (set and not empty), and `${file:/path}` to
 * what the file holds, without the line end behind it. Defaults and values may hold references and balanced braces
 * themselves; what a variable or a file holds is never expanded again. `$${` is `${`.
 */
export function expand(text: string, environment: Environment): Expansion {
  const parsed = parseParts(text, 0, false);
  if (!parsed.ok) return { text, variables: [], faults: [parsed.fault] };
  const faults: ExpansionFault[] = [];
  const expanded = evaluate(parsed.value, environment, faults);
  return { text: expanded, variables: [...new Set(namesIn(parsed.value))], faults };
}

function parseParts(text: string, from: number, inOperand: boolean): Parsed<Part[]> {
  const parts: Part[] = [];
  let literal = '';
  let depth = 0;
  let at = from;
  while (at < text.length) {
    if (text.startsWith('$${', at)) {
      literal += '${';
      // Inside an operand its closing brace is literal too, or `${A:-$${x}}` would end early.
      depth += 1;
      at += 3;
      continue;
    }
    if (text.startsWith('${', at)) {
      const reference = parseReference(text, at);
      if (!reference.ok) return reference;
      parts.push(literal, reference.value);
      literal = '';
      at = reference.end;
      continue;
    }
    const character = text[at] ?? '';
    if (inOperand && character === '}') {
      if (depth === 0) return { ok: true, value: [...parts, literal], end: at };
      depth -= 1;
    }
    if (inOperand && character === '{') depth += 1;
    literal += character;
    at += 1;
  }
  return { ok: true, value: [...parts, literal], end: at };
}

function parseReference(text: string, index: number): Parsed<Reference> {
  const malformed = (message: string): Parsed<Reference> => ({
    ok: false,
    fault: { index, message, suggestion: FORMS },
  });
  const [name = ''] = /^[^}:{$]*/.exec(text.slice(index + 2)) ?? [];
  const after = index + 2 + name.length;
  if (after >= text.length) return malformed('${ is not closed by }');
  if (name === '') return malformed('${ names no variable');
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return malformed(`"${name}" is not the name of a variable`);
  if (text[after] === '}') return { ok: true, value: { index, name, operand: [] }, end: after + 1 };

  const operator = text[after + 1];
  if (name === 'file' && text[after] === ':' && operator !== '-' && operator !== '+') {
    const end = text.indexOf('}', after);
    if (end < 0) return malformed('${ is not closed by }');
    const file = text.slice(after + 1, end).trim();
    if (file === '') return malformed('${file: names no file');
    return { ok: true, value: { index, name: file, operator: 'file', operand: [] }, end: end + 1 };
  }
  if (text[after] !== ':' || (operator !== '-' && operator !== '+')) {
    return malformed(`\${${name} is followed by "${text.slice(after, after + 2)}"`);
  }
  const operand = parseParts(text, after + 2, true);
  if (!operand.ok) return operand;
  if (operand.end >= text.length) return malformed('${ is not closed by }');
  return { ok: true, value: { index, name, operator, operand: operand.value }, end: operand.end + 1 };
}

/** Operands that are not used are not evaluated: what they leave unset is no fault. */
function evaluate(parts: readonly Part[], environment: Environment, faults: ExpansionFault[]): string {
  return parts
    .map((part) => {
      if (typeof part === 'string') return part;
      if (part.operator === 'file') return contentOf(part, faults);
      // Own names only: `${constructor}` is not set.
      const value = Object.hasOwn(environment, part.name) ? environment[part.name] : undefined;
      const filled = value !== undefined && value !== '';
      if (part.operator === '+') return filled ? evaluate(part.operand, environment, faults) : '';
      if (part.operator === '-') return filled ? value : evaluate(part.operand, environment, faults);
      if (value === undefined) {
        faults.push({
          index: part.index,
          message: `the environment variable ${part.name} is not set`,
          suggestion: `export ${part.name}=…, or give a default: \${${part.name}:-default}`,
        });
      }
      return value ?? '';
    })
    .join('');
}

/** Secrets are short; what is larger is not one, and would only be shown to nobody’s use. */
const MAX_FILE_BYTES = 65_536;

function contentOf({ index, name }: Reference, faults: ExpansionFault[]): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(name);
  } catch (thrown) {
    const reason = (thrown as NodeJS.ErrnoException).code ?? 'unknown';
    faults.push({
      index,
      message: `the file ${name} cannot be read (${reason})`,
      suggestion: 'correct the path (it is relative to the working directory), or let this user read the file',
    });
    return '';
  }
  if (bytes.length > MAX_FILE_BYTES) {
    const suggestion = `name the file that holds the secret and nothing else, at most ${MAX_FILE_BYTES} bytes`;
    faults.push({ index, message: `the file ${name} is too large for a secret`, suggestion });
    return '';
  }
  return bytes.toString('utf8').replace(/\r?\n$/, '');
}

/** How the text names them, for people: `NAME`, or `file:/path`. */
function namesIn(parts: readonly Part[]): string[] {
  return parts.flatMap((part) =>
    typeof part === 'string'
      ? []
      : [part.operator === 'file' ? `file:${part.name}` : part.name, ...namesIn(part.operand)],
  );
}
