/** Requests as bytes: from ones that are nearly right to ones that no HTTP client would send. */
import fc from 'fast-check';
import { CAPTURE_2022, COMMAND, DOCUMENTED, SDK_APP_ID } from '../support/callbacks.ts';

export interface FuzzRequest {
  /** For the report. */
  readonly kind: string;
  readonly bytes: Buffer;
  /** A whole HTTP request that gets exactly one answer; of the others there may be none, or several. */
  readonly whole: boolean;
}

const COMMANDS = [
  COMMAND,
  'Group.CallbackAfterCreateGroup',
  'Group.CallbackAfterGroupDestroyed',
  'Group.CallbackAfterChangeGroupOwner',
  'Group.CallbackAfterTopicInfoChanged',
  'Group.CallbackBeforeSendMsg',
  'Alert.RequestOverLimit',
  'Push.AllMemberPush',
  '__proto__',
  'constructor',
  '',
];

/** A whole request with the body's true length. */
export function toRequest(target: string, headers: readonly string[], body: Uint8Array, method = 'POST'): Buffer {
  const lines = [
    `${method} ${target} HTTP/1.1`,
    'host: bridge',
    ...headers,
    `content-length: ${body.byteLength}`,
    'connection: close',
    '',
    '',
  ];
  return Buffer.concat([Buffer.from(lines.join('\r\n'), 'latin1'), body]);
}

const oddText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.constantFrom(
    '',
    '\u0000',
    '\ud83d',
    '\udc00',
    '__proto__',
    'constructor',
    'toString',
    '\u202e',
    '%00',
    '\r\nx: y',
  ),
  fc.integer({ min: 100, max: 3_000 }).map((length) => '所'.repeat(length)),
);

/** Odd values as JSON text, since no JavaScript value is written as some of them. */
const oddJson = fc.oneof(
  oddText.map((text) => JSON.stringify(text)),
  fc.constantFrom(
    '1e999',
    '-1e999',
    '-0',
    '9223372036854775807',
    '0.1e-7',
    '1'.repeat(400),
    'NaN',
    'Infinity',
    '0x10',
    '01',
  ),
  fc.constantFrom('null', 'true', '[]', '{}', '""', '"1657389765743"', '1657389765743', '99999999999999', '-1', '1.5'),
  fc.integer({ min: 10, max: 30_000 }).map((depth) => '['.repeat(depth) + ']'.repeat(depth)),
  fc.integer({ min: 10, max: 9_000 }).map((depth) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`),
  fc.constantFrom(
    '{"__proto__":{"polluted":true}}',
    '[{"Key":"__proto__","Value":"x"}]',
    '[{"Key":"a"}]',
    '[{"Key":"a","Value":"b"}]',
  ),
  fc.json({ maxDepth: 4 }),
);

const FIELDS = [
  ...[
    'CallbackCommand',
    'GroupId',
    'Type',
    'Operator_Account',
    'Owner_Account',
    'NewOwner_Account',
    'OldOwner_Account',
  ],
  ...['Name', 'Introduction', 'Notification', 'FaceUrl', 'EventTime', 'UserDefinedDataList', 'ShutUpAllMember'],
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'MemberList'],
];

function base(command: string, groupId: string): [string, string][] {
  const text = JSON.stringify;
  return [
    ['CallbackCommand', text(command)],
    ['GroupId', text(groupId)],
    ['Type', '"Public"'],
    ['Operator_Account', '"administrator"'],
    ['NewOwner_Account', '"leckie"'],
    ['Name', '"fuzzed"'],
  ];
}

const toJson = (entries: readonly (readonly [string, string])[]): string =>
  `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')}}`;

/** A callback's body with some fields replaced, doubled, left out or added. */
const body = (command: string): fc.Arbitrary<Buffer> =>
  fc
    .record({
      groupId: fc.nat({ max: 999_999 }).map((n) => `@TGS#F${n}`),
      odd: fc.array(fc.tuple(fc.constantFrom(...FIELDS), oddJson), { maxLength: 3 }),
      without: fc.option(fc.constantFrom(...FIELDS), { freq: 4 }),
      frame: fc.constantFrom('', '', '', '', '', 'bom', 'trailing', 'cut', 'array', 'latin1', 'utf16', 'spaces'),
    })
    .map(({ groupId, odd, without, frame }) => {
      const entries = [...base(command, groupId), ...odd].filter(([key]) => key !== without);
      const text = toJson(entries);
      switch (frame) {
        case 'bom':
          return Buffer.from(`\ufeff${text}`);
        case 'trailing':
          return Buffer.from(`${text}}]`);
        case 'cut':
          return Buffer.from(text).subarray(0, text.length >> 1);
        case 'array':
          return Buffer.from(`[${text}]`);
        case 'latin1':
          return Buffer.from(`${text.slice(0, -1)},"Name":"\xff\xfe"}`, 'latin1');
        case 'utf16':
          return Buffer.from(text, 'utf16le');
        case 'spaces':
          return Buffer.from(`${' \n\t'.repeat(500)}${text}\n`);
        default:
          return Buffer.from(text);
      }
    });

const recase = (name: string): fc.Arbitrary<string> =>
  fc
    .array(fc.boolean(), { minLength: name.length, maxLength: name.length })
    .map((upper) => [...name].map((letter, i) => (upper[i] ? letter.toUpperCase() : letter.toLowerCase())).join(''));

const query = (command: string): fc.Arbitrary<string> => {
  const right = [
    fc.tuple(recase('SdkAppid'), fc.constant(SDK_APP_ID)),
    fc.tuple(recase('CallbackCommand'), fc.constant(encodeURIComponent(command))),
  ];
  const odd = fc.tuple(
    fc.oneof(
      fc.constantFrom(
        'SdkAppid',
        'sdkappid',
        'CallbackCommand',
        'Sign',
        'RequestTime',
        'ClientIP',
        'RequestID',
        '',
        'a[]',
        '__proto__',
      ),
      fc.string({ unit: 'grapheme-ascii', maxLength: 10 }).map((text) => text.replace(/[\s#]/g, '')),
    ),
    fc.constantFrom(
      '',
      SDK_APP_ID,
      '%',
      '%zz',
      '%00',
      '%ff',
      '1',
      '+',
      'a=b',
      '%F0%9F%8E%89',
      'x'.repeat(2_000),
      COMMAND,
    ),
  );
  return fc
    .tuple(fc.tuple(...right), fc.array(odd, { maxLength: 3 }), fc.constantFrom('&', '&', '&', '&&', ';'))
    .map(([known, extra, separator]) =>
      [...known, ...extra].map(([name, value]) => `${name}=${value}`).join(separator),
    );
};

const header = fc.constantFrom(
  'content-type: application/json',
  'content-type: text/plain; charset=gbk',
  'content-type:',
  'content-encoding: gzip',
  'expect: 100-continue',
  'x-forwarded-for: 1.2.3.4, unknown',
  'x-http-method-override: DELETE',
  `x-long: ${'a'.repeat(4_000)}`,
  'cookie: a=b; a=c',
  'traceparent: 00-0-0-zz',
  'accept: */*',
);

const structured: fc.Arbitrary<FuzzRequest> = fc.constantFrom(...COMMANDS).chain((command) =>
  fc
    .record({
      search: query(command),
      headers: fc.uniqueArray(header, { maxLength: 3 }),
      body: body(command),
      path: fc.constantFrom(
        '/callback',
        '/callback',
        '/callback',
        '/callback',
        '/callback',
        '/',
        '/callback/',
        '/CALLBACK',
        '//callback',
        '/callback/../callback',
        '/%63allback',
        '/callback%00',
      ),
      method: fc.constantFrom(
        'POST',
        'POST',
        'POST',
        'POST',
        'POST',
        'POST',
        'GET',
        'PUT',
        'DELETE',
        'OPTIONS',
        'PATCH',
        'HEAD',
      ),
    })
    .map(({ search, headers, body, path, method }) => ({
      kind: `structured ${method}`,
      bytes: toRequest(`${path}?${search}`, headers, body, method),
      whole: true,
    })),
);

/** The body in chunks as odd as the grammar allows. */
const chunked: fc.Arbitrary<FuzzRequest> = fc
  .record({
    body: body(COMMAND),
    sizes: fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 20 }),
    extension: fc.constantFrom('', ';a=b', ';a="b;c"', `;${'e'.repeat(200)}`),
    zeros: fc.constantFrom('', '0', '000'),
    trailer: fc.constantFrom('', 'x-trailer: 1\r\n', 'content-length: 5\r\n'),
  })
  .map(({ body, sizes, extension, zeros, trailer }) => {
    const parts: Buffer[] = [
      Buffer.from(
        `POST /callback?SdkAppid=${SDK_APP_ID}&CallbackCommand=${COMMAND} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n`,
      ),
    ];
    for (let at = 0, i = 0; at < body.length; i++) {
      const piece = body.subarray(at, at + (sizes[i % sizes.length] ?? 1));
      parts.push(Buffer.from(`${zeros}${piece.length.toString(16)}${extension}\r\n`), piece, Buffer.from('\r\n'));
      at += piece.length;
    }
    parts.push(Buffer.from(`0\r\n${trailer}\r\n`));
    return { kind: 'chunked', bytes: Buffer.concat(parts), whole: false };
  });

/** The real captures, with their bytes turned, cut, doubled or overwritten anywhere, head and body. */
const mutated: fc.Arbitrary<FuzzRequest> = fc
  .record({
    capture: fc.constantFrom(CAPTURE_2022, DOCUMENTED),
    changes: fc.array(
      fc.record({
        at: fc.nat({ max: 1_200 }),
        what: fc.constantFrom('flip', 'cut', 'insert', 'overwrite'),
        bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
      }),
      { minLength: 1, maxLength: 5 },
    ),
  })
  .map(({ capture, changes }) => {
    let bytes = toRequest(`/callback?${capture.search}`, ['content-type: application/json'], Buffer.from(capture.body));
    for (const { at, what, bytes: odd } of changes) {
      const place = at % bytes.length;
      const before = bytes.subarray(0, place);
      const after = bytes.subarray(place);
      if (what === 'flip') bytes[place] = (bytes[place] ?? 0) ^ (1 << ((odd[0] ?? 0) & 7));
      else if (what === 'cut') bytes = Buffer.concat([before, after.subarray(odd.length)]);
      else if (what === 'insert') bytes = Buffer.concat([before, odd, after]);
      else bytes = Buffer.concat([before, odd, after.subarray(odd.length)]);
    }
    return { kind: 'mutated', bytes, whole: false };
  });

export const fuzzRequest: fc.Arbitrary<FuzzRequest> = fc.oneof(
  { weight: 6, arbitrary: structured },
  { weight: 2, arbitrary: chunked },
  { weight: 3, arbitrary: mutated },
);
