/** Secrets and paths as settings: finds what consoles, editors and secret stores add unseen. */
import { z } from 'zod';

const NAMES: Readonly<Record<string, string>> = {
  ' ': 'a space',
  '\t': 'a tab',
  '\n': 'a line end',
  '\r': 'a line end',
  '\ufeff': 'a byte order mark',
  '\u00a0': 'a no-break space',
  '\u200b': 'a space of no width',
};

/** Returns a sentence about the first invisible character, without revealing the secret. */
function complaintOf(text: string, unseen: RegExp): string | undefined {
  const match = unseen.exec(text);
  if (match === null) return undefined;
  const character = String.fromCodePoint(match[0].codePointAt(0) ?? 0);
  const code = `U+${character.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')}`;
  const place =
    match.index === 0 ? 'at its beginning' : match.index + match[0].length === text.length ? 'at its end' : 'inside';
  const name = NAMES[character] ?? 'a character that cannot be part of it';
  return `it holds ${name} (${code}) ${place}: copy it once more, without what was added`;
}

function checked(complain: (text: string) => string | undefined, empty = 'it is empty') {
  return z
    .string()
    .min(1, { error: empty })
    .superRefine((text, context) => {
      const message = complain(text);
      if (message !== undefined) context.addIssue({ code: 'custom', message });
    });
}

/** What no person types inside a text, or around it. */
const UNTYPED = /^\s|\s$|[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;
const QUOTED = /^(["'`]).*\1$|^[“”‘’«].*[“”‘’»]$/s;

/** A secret of the vendor's: visible ASCII, without quotes, which some programs keep from an env file. */
export const vendorSecret = checked((text) =>
  QUOTED.test(text) ? 'quotes stand around it: leave them out' : complaintOf(text, /[^\x21-\x7e]/u),
);

/** Any other secret: blanks may be inside, but not around it, and nothing that no person types. */
export const password = checked((text) => complaintOf(text, UNTYPED));

/** The path of a file. Only a shell or a browser would interpret ~ and file:. */
export const filePath = checked((text) => {
  if (/^(~\/|file:)/i.test(text)) return 'write out the path: ~ and file: are not known';
  if (/^\$\w/.test(text)) return 'a shell alone knows $NAME: put the name in braces';
  // Node tries for ever to create a folder there.
  if (/^\/+(proc|sys)\//.test(text)) return 'the kernel’s own files keep nothing: name a file on a disk';
  if (/\/\.{0,2}$|^\.{1,2}$/.test(text)) return 'it names a folder: add the name of a file in it';
  return complaintOf(text, UNTYPED);
}, 'the path of a file is expected, such as data/events.ndjson');
