/**
 * PostgreSQL's text can hold neither U+0000 nor lone surrogates, unlike callbacks. Such a character is stored as ␛
 * (U+241B) and its four hexadecimal digits, and so is ␛ itself: nothing is lost, and other text is unchanged.
 */
const MARK = '\u241b';
/** Matches each JSON escape, a pair of surrogates as one, and the mark. */
const UNSTORABLE = /\\(?:ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|u(0000|241b|d[89a-f][0-9a-f]{2})|.)|\u241b/gi;

/** Returns JSON that PostgreSQL can hold; names of fields included. */
export function storable(json: string): string {
  return json.replace(UNSTORABLE, (found, digits?: string) => {
    if (digits !== undefined) return MARK + digits.toLowerCase();
    return found === MARK ? `${MARK}241b` : found;
  });
}

/** Reverts `storable`. A foreign ␛, without such digits after it, stays. */
export const restored = (json: string): string => json.replace(/\u241b(0000|241b|d[89a-f][0-9a-f]{2})/g, '\\u$1');

/** Like `storable`, for a text that is not JSON. */
export const storableText = (text: string): string => JSON.parse(storable(JSON.stringify(text))) as string;
