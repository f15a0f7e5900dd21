/**
 * PostgreSQL's text holds neither U+0000 nor half of a surrogate pair, and callbacks may. Such a character is kept as ␛
 * (U+241B) and its four hexadecimal digits, and ␛ itself so, too: nothing is lost, and all other text stands as it is.
 */
const MARK = '\u241b';
/** Each escape of JSON as a whole, a pair of surrogates with its other half, and the mark. */
const UNSTORABLE = /\\(?:ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|u(0000|241b|d[89a-f][0-9a-f]{2})|.)|\u241b/gi;

/** Returns JSON that PostgreSQL can hold; names of fields are looked at, too. */
export function storable(json: string): string {
  return json.replace(UNSTORABLE, (found, digits?: string) => {
    if (digits !== undefined) return MARK + digits.toLowerCase();
    return found === MARK ? `${MARK}241b` : found;
  });
}

/** Returns the JSON that was made storable. A ␛ that somebody else wrote, without such digits after it, stays. */
export const restored = (json: string): string => json.replace(/\u241b(0000|241b|d[89a-f][0-9a-f]{2})/g, '\\u$1');

/** As `storable`, of a text that is no JSON. */
export const storableText = (text: string): string => JSON.parse(storable(JSON.stringify(text))) as string;
