// biome-ignore-all lint/suspicious/noTemplateCurlyInString: this is the file about them
import { readStart } from '../model/bounded.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

interface ExpansionFault {
  readonly index: number;
  readonly message: string;
  readonly suggestion: string;
}

interface Expansion {
  readonly text: string;
  /** The variables and files that the text names, such as `NAME` and `file:/path`. */
  readonly variables: readonly string[];
  readonly faults: readonly ExpansionFault[];
}

const FORMS = '${NAME}, ${NAME:-default}, ${NAME:+value} and ${file:/path} are supported, and $${ for a literal ${';

/** Matches an escaped `$${`, a reference, or a `${` that is neither. An operand may hold `{…}`, one level deep. */
const TOKEN =
  /\$\$\{|\$\{(?:file:(?![-+])\s*(?<file>[^{}]*[^{}\s])\s*|(?<name>[A-Za-z_]\w*)(?::(?<operator>[-+])(?<operand>(?:[^{}]|\{[^{}]*\})*))?)\}|\$\{/g;

/**
 * Expands `${NAME}`, `${NAME:-default}` (unset or empty), `${NAME:+value}` (set and not empty), and `${file:/path}` to the
 * file's content without the last line end. A used operand is expanded in turn; what a variable or a file holds is not.
 * `$${` stands for `${`.
 */
export function expand(text: string, environment: Environment): Expansion {
  const variables = new Set<string>();
  const faults: ExpansionFault[] = [];
  const lastBrace = text.lastIndexOf('}');

  const expanded = text.replace(TOKEN, (token: string, ...rest): string => {
    const index: number = rest.at(-3);
    const { file, name, operator, operand = '' }: Readonly<Record<string, string | undefined>> = rest.at(-1);
    if (token === '$${') return '${';
    if (file !== undefined) {
      variables.add(`file:${file}`);
      return contentOf(file, (message, suggestion) => faults.push({ index, message, suggestion }));
    }
    if (name === undefined) {
      const message = lastBrace < index ? '${ is not closed by }' : 'this form of ${…} is not supported';
      faults.push({ index, message, suggestion: FORMS });
      return '';
    }
    variables.add(name);
    // `${constructor}` is not set.
    const value = Object.hasOwn(environment, name) ? environment[name] : undefined;
    const filled = value !== undefined && value !== '';
    if (operator === undefined) {
      if (value !== undefined) return value;
      const suggestion = `export ${name}=…, or give a default: \${${name}:-default}`;
      faults.push({ index, message: `the environment variable ${name} is not set`, suggestion });
      return '';
    }
    if (filled !== (operator === '+')) return value ?? '';
    const inner = expand(operand, environment);
    const offset = index + token.length - 1 - operand.length;
    for (const one of inner.variables) variables.add(one);
    for (const fault of inner.faults) faults.push({ ...fault, index: offset + fault.index });
    return inner.text;
  });
  return { text: expanded, variables: [...variables], faults };
}

/** Secrets are short: a larger file was named by mistake. */
const MAX_FILE_BYTES = 65_536;

function contentOf(file: string, report: (message: string, suggestion: string) => void): string {
  try {
    const bytes = readStart(file, MAX_FILE_BYTES + 1);
    if (bytes.length <= MAX_FILE_BYTES) return bytes.toString('utf8').replace(/\r?\n$/, '');
    const suggestion = `name the file that holds the secret and nothing else, at most ${MAX_FILE_BYTES} bytes`;
    report(`the file ${file} is too large for a secret`, suggestion);
  } catch (thrown) {
    const reason = (thrown as NodeJS.ErrnoException).code ?? 'unknown';
    const suggestion = 'correct the path (it is relative to the working directory), or let this user read the file';
    report(`the file ${file} cannot be read (${reason})`, suggestion);
  }
  return '';
}
