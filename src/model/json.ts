/** Whether a JSON value is an object, rather than a list, a scalar or null. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Parses a text as JSON; undefined if it is none. */
export function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Parses JSON that may be slightly wrong: raw control characters in strings, NULs at the end. A number that no double can
 * represent becomes the text of its digits.
 */
export function parseJson(text: string): unknown {
  try {
    return parsedExactly(text);
  } catch (thrown) {
    const plain = withoutControls(text);
    if (plain === text) throw thrown;
    return parsedExactly(plain);
  }
}

/** Finds a number that may exceed a double, where numbers may be: a match in a text would only cost a second parse. */
export const BEYOND_DOUBLE = /[[:,]\s*-?(?:\d{16}|\d+\.\d{16}|\d+(?:\.\d+)?[eE][+-]?\d{3})/;

function parsedExactly(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (!BEYOND_DOUBLE.test(text)) return value;
  const keepDigits = (_: string, one: unknown, { source = '' }: { source?: string }): unknown => {
    if (typeof one !== 'number') return one;
    const lost = !Number.isFinite(one) || (/^-?[1-9]\d*$/.test(source) && String(one) !== source);
    return lost ? source : one;
  };
  try {
    return JSON.parse(text, keepDigits as (key: string, one: unknown) => unknown);
  } catch {
    // It is nested too deeply for this.
    return value;
  }
}

const [QUOTE, BACKSLASH] = [0x22, 0x5c];

/** Escapes raw control characters in strings, and drops NULs at the end. One pass, since the text is untrusted. */
function withoutControls(text: string): string {
  let end = text.length;
  while (text[end - 1] === '\0') end--;
  let [plain, from, inString] = ['', 0, false];
  for (let at = 0; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) inString = !inString;
    else if (code === BACKSLASH && inString) at++;
    else if (code < 0x20 && inString) {
      plain += `${text.slice(from, at)}\\u${code.toString(16).padStart(4, '0')}`;
      from = at + 1;
    }
  }
  return plain + text.slice(from, end);
}
