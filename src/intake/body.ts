/** The body of a callback: how it arrives, is decoded and is checked. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { unzipSync } from 'node:zlib';
import { accepted, type Checked, type HttpFault, refused } from '../model/fault.ts';
import { isObject, parseJson } from '../model/json.ts';

/** A body as it came, or the first part of it. */
export interface ReceivedBody {
  readonly bytes: Uint8Array;
  /** Why the rest is missing. */
  readonly fault?: HttpFault;
}

/** How long a body may take to arrive. The service itself gives up after 2 s. */
const BODY_TIMEOUT_MS = 5_000;
/** Limits a body that exceeds `maxBytes` only by its dropped fields: a million members of a group take 54 MB. */
const MAX_ARRIVING_BYTES = 64 * 1_048_576;

const tooSlow: HttpFault = {
  code: 'body-incomplete',
  message: `the body did not arrive within ${BODY_TIMEOUT_MS / 1000} s`,
};

const largerThan = (maxBytes: number, unpacked = ''): HttpFault => ({
  code: 'body-too-large',
  message: `the body is larger than ${maxBytes} bytes${unpacked}`,
  suggestion: 'raise receiver.maxBodyBytes if the service really sends larger ones',
});

/**
 * Creates a reader of bodies. A `patient` read accepts a body larger than `maxBytes` if it fits without the fields
 * `drop`, which are removed as it arrives, so that memory stays bounded by `maxBytes`.
 */
export function createBodyReader(maxBytes: number, drop: readonly string[]) {
  const tooLarge = largerThan(maxBytes);
  return async (incoming: IncomingMessage, patient: boolean): Promise<ReceivedBody> => {
    const { 'content-length': length } = incoming.headers;
    const isSmall = length !== undefined && Number(length) <= maxBytes;
    if (length !== undefined && !isSmall && !patient) return { bytes: new Uint8Array(), fault: tooLarge };
    const [head, rest] = [createBuffer(maxBytes), createBuffer(maxBytes)];
    const dropper = patient && !isSmall ? createFieldDropper(drop) : undefined;
    let arrived = 0;
    const fault = await arrival(incoming, (chunk) => {
      arrived += chunk.byteLength;
      let fits = head.add(chunk);
      if (dropper !== undefined) fits = rest.add(dropper.push(chunk)) && arrived <= MAX_ARRIVING_BYTES;
      return fits ? undefined : tooLarge;
    });
    if (fault !== undefined) return { bytes: head.bytes(), fault };
    return { bytes: (arrived <= maxBytes ? head : rest).bytes() };
  };
}

/** Collects at most `most` bytes, and cuts what exceeds them; in one buffer, as chunks may be as small as a sender likes. */
function createBuffer(most: number) {
  let room = Buffer.alloc(0);
  let length = 0;
  return {
    /** Returns whether all of it fitted. */
    add(chunk: Uint8Array): boolean {
      const end = Math.min(length + chunk.byteLength, most);
      if (end > room.length) room = Buffer.concat([room], Math.min(Math.max(end, room.length * 2), most));
      room.set(chunk.subarray(0, end - length), length);
      const fits = end - length === chunk.byteLength;
      length = end;
      return fits;
    },
    bytes: (): Uint8Array => room.subarray(0, length),
  };
}

/** Resolves at the end of the body; with a fault if it ended early, such as the one that `take` returned. */
function arrival(
  incoming: IncomingMessage,
  take: (chunk: Buffer) => HttpFault | undefined,
): Promise<HttpFault | undefined> {
  return new Promise((resolve) => {
    const end = (fault?: HttpFault): void => {
      clearTimeout(timer);
      // Drops what still comes: kept, one-byte chunks would take a hundred bytes each.
      incoming.off('data', onData).off('end', end).off('close', onClose).resume();
      resolve(fault);
    };
    const onData = (chunk: Buffer): void => {
      const fault = take(chunk);
      if (fault !== undefined) end(fault);
    };
    const onClose = (): void => end({ code: 'body-incomplete', message: 'the body broke off' });
    const timer = setTimeout(end, BODY_TIMEOUT_MS, tooSlow);
    incoming.on('end', end).on('close', onClose).on('error', onClose).on('data', onData);
  });
}

const [QUOTE, BACKSLASH, COLON, COMMA] = [0x22, 0x5c, 0x3a, 0x2c];
const [OPEN_OBJECT, OPEN_LIST, CLOSE_OBJECT, CLOSE_LIST] = [0x7b, 0x5b, 0x7d, 0x5d];
const NULL = Buffer.from('null');

/** Replaces the values of these top-level fields of a JSON object by null, chunk by chunk, and counts each field. */
export function createFieldDropper(names: readonly string[]) {
  const seen = new Map<string, number>();
  const longest = Math.max(0, ...names.map((name) => name.length));
  let [depth, inString, escaped, dropping] = [0, false, false, false];
  /** The string read so far that may be a key of the top level. */
  let key: string | undefined;
  let isKeyNext = false;

  /** Reads one byte; returns 'drop' after the colon before a dropped value, 'keep' at the byte that follows it. */
  function step(byte: number): 'drop' | 'keep' | undefined {
    if (inString) {
      if (escaped) escaped = false;
      else if (byte === BACKSLASH) escaped = true;
      else if (byte === QUOTE) inString = false;
      if (inString && key !== undefined && key.length <= longest) key += String.fromCharCode(byte);
      return undefined;
    }
    if (byte === QUOTE) {
      inString = true;
      key = depth === 1 && isKeyNext ? '' : undefined;
      return undefined;
    }
    if (byte === COLON && depth === 1) {
      isKeyNext = false;
      if (key === undefined || !names.includes(key)) return undefined;
      seen.set(key, (seen.get(key) ?? 0) + 1);
      key = undefined;
      dropping = true;
      return 'drop';
    }
    const ends = dropping && depth === 1 && (byte === COMMA || byte === CLOSE_OBJECT);
    if (ends) dropping = false;
    if (byte === OPEN_OBJECT || byte === OPEN_LIST) depth++;
    else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) depth--;
    if (depth === 1 && (byte === COMMA || byte === OPEN_OBJECT)) isKeyNext = true;
    return ends ? 'keep' : undefined;
  }

  return {
    seen,
    /** Returns what is kept of the chunk. */
    push(chunk: Uint8Array): Uint8Array {
      const kept: Uint8Array[] = [];
      let from = dropping ? chunk.length : 0;
      for (let at = 0; at < chunk.length; at++) {
        const change = step(chunk[at] as number);
        if (change === 'drop') {
          kept.push(chunk.subarray(from, at + 1), NULL);
          from = chunk.length;
        } else if (change === 'keep') from = at;
      }
      kept.push(chunk.subarray(from));
      return kept.length === 1 ? (kept[0] as Uint8Array) : Buffer.concat(kept);
    },
  };
}

interface UnderstoodBody {
  readonly fields: Readonly<Record<string, unknown>>;
  /** `fields` before parsing. */
  readonly text: string;
  /** Whether it held bytes of no known encoding, now U+FFFD. */
  readonly lossy: boolean;
}

const notJson = (message: string) => refused({ code: 'not-json', message });

/**
 * Reads a body as a JSON object. It tolerates a sender's unambiguous mistakes: compression that no header announces,
 * another encoding, raw control characters, NULs at the end. The charset of the Content-Type is tried if the bytes are
 * not UTF-8.
 */
export function parseBody(
  bytes: Uint8Array,
  maxBytes: number,
  headers: IncomingHttpHeaders = {},
): Checked<UnderstoodBody> {
  if (bytes.byteLength === 0) return notJson('the body is empty, a JSON object is expected');
  let text: string;
  let lossy = false;
  let fields: unknown;
  try {
    [text, lossy] = decode(inflated(bytes, maxBytes), headers['content-type']);
    fields = parseJson(text);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      return refused(largerThan(maxBytes, ' when decompressed'));
    }
    const isForeign = !/^(identity|(x-)?gzip|deflate)$/i.test(headers['content-encoding'] ?? 'identity');
    if (isForeign) return notJson('the body has an unsupported Content-Encoding: gzip and deflate are supported');
    return notJson(`the body is not JSON: ${(thrown as Error).message}`);
  }
  if (!isObject(fields)) return notJson('the body is JSON, but not an object');
  return accepted({ fields, text, lossy });
}

/** Recognizes gzip and zlib by their first bytes, with which no JSON begins. */
function inflated(bytes: Uint8Array, maxOutputLength: number): Uint8Array {
  const [first = 0, second = 0] = bytes;
  const isGzip = first === 0x1f && second === 0x8b;
  const isZlib = first === 0x78 && (first * 256 + second) % 31 === 0;
  return isGzip || isZlib ? unzipSync(bytes, { maxOutputLength }) : bytes;
}

const strictly = (encoding: string) => new TextDecoder(encoding, { fatal: true });
const utf8 = strictly('utf-8');

function decode(bytes: Uint8Array, type = ''): [text: string, lossy: boolean] {
  const wide = wideEncodingOf(bytes);
  const decoders = [
    () => (wide === undefined ? utf8 : strictly(wide)),
    () => strictly(/charset="?([\w:.-]{1,40})/i.exec(type)?.[1] ?? ''),
  ];
  for (const decoder of decoders) {
    try {
      return [decoder().decode(bytes), false];
    } catch {
      // Another encoding, or an unknown one.
    }
  }
  // A name cut inside a character must not cost the whole change.
  return [new TextDecoder(wide).decode(bytes), true];
}

/** Recognizes UTF-16 by its byte order mark or without one, since JSON begins with a character below U+0080. */
function wideEncodingOf([first, second]: Uint8Array): string | undefined {
  if ((first === 0xff && second === 0xfe) || second === 0) return 'utf-16le';
  if ((first === 0xfe && second === 0xff) || first === 0) return 'utf-16be';
  return undefined;
}

/** Refuses a body that names another command than the query: that is not the protocol. */
export function checkCommand(
  command: string,
  { CallbackCommand: named }: Readonly<Record<string, unknown>>,
): HttpFault | undefined {
  if (named === undefined || named === null || named === '' || named === command) return undefined;
  const message = 'the query and the body name different commands';
  return { code: 'command-mismatch', path: 'CallbackCommand', message };
}

/** Refuses a group id with bytes of no known encoding: with U+FFFD in their place it would be another group's. */
export function checkGroup({ fields: { GroupId }, lossy }: UnderstoodBody): HttpFault | undefined {
  if (!lossy || typeof GroupId !== 'string' || !GroupId.includes('\ufffd')) return undefined;
  const message = 'GroupId is in an unknown encoding: the group cannot be identified';
  return { code: 'callback-invalid', path: 'GroupId', message };
}

/** If one of these fields appears twice in a body, it has two readings, and neither is trusted. */
const DECISIVE = [
  ...['CallbackCommand', 'GroupId', 'TopicId', 'EventTime', 'Name', 'Introduction', 'Notification', 'FaceUrl'],
  ...['UserDefinedDataList', 'Owner_Account', 'NewOwner_Account', 'Type'],
];
/** A letter, or _, written as an escape. */
const ESCAPED_LETTER = /\\u00(4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9a])/gi;

/** Refuses a body that has a decisive field twice, however its name is written. */
export function checkTwice({ text, fields: { UserDefinedDataList: custom } }: UnderstoodBody): HttpFault | undefined {
  const values = new Map<unknown, unknown>();
  for (const one of Array.isArray(custom) ? custom.filter(isObject) : []) {
    const path = 'UserDefinedDataList';
    if (values.has(one.Key) && values.get(one.Key) !== one.Value)
      return { code: 'callback-invalid', path, message: `${path} has a key twice` };
    values.set(one.Key, one.Value);
  }
  const body = text.replace(ESCAPED_LETTER, (_, code) => String.fromCharCode(Number.parseInt(code, 16)));
  const suspects = DECISIVE.filter((name) => body.indexOf(`"${name}"`) !== body.lastIndexOf(`"${name}"`));
  if (suspects.length === 0) return undefined;
  const fields = createFieldDropper(suspects);
  fields.push(Buffer.from(body));
  const path = suspects.find((name) => (fields.seen.get(name) ?? 0) > 1);
  return path === undefined
    ? undefined
    : { code: 'callback-invalid', path, message: `${path} appears in the body twice` };
}
