/** Shapes that attack HTTP itself, byte by byte. */
import { deflateRawSync, gzipSync } from 'node:zlib';
import { body, COMMAND, search } from '../support/callbacks.ts';
import { toRequest } from './requests.ts';

export interface CorpusEntry {
  readonly name: string;
  readonly bytes: Buffer;
  /** The statuses it may be answered with, in order; empty: the connection may also just be closed. */
  readonly statuses: readonly (readonly number[])[];
}

/** Requests hidden in others change this group: it must never be recorded. */
export const SMUGGLED = '@TGS#SMUGGLED';

const target = `/callback?${search()}`;
const ok = (groupId: string): string => body({ GroupId: groupId });
const inner = `POST ${target} HTTP/1.1\r\nhost: x\r\ncontent-length: ${ok(SMUGGLED).length}\r\n\r\n${ok(SMUGGLED)}`;
const head = (...lines: string[]): string => [`POST ${target} HTTP/1.1`, 'host: x', ...lines, '', ''].join('\r\n');
const entry = (name: string, text: string | Buffer, ...statuses: (readonly number[])[]): CorpusEntry => ({
  name,
  bytes: Buffer.isBuffer(text) ? text : Buffer.from(text, 'latin1'),
  statuses,
});
const plain = (groupId: string, more: string[] = []): string =>
  head(`content-length: ${ok(groupId).length}`, ...more) + ok(groupId);

export const CORPUS: readonly CorpusEntry[] = [
  entry('a valid one', plain('@TGS#C1'), [200]),
  entry(
    'three in a row, each answered in order',
    `${plain('@TGS#C2') + plain('@TGS#C3', ['x: y']) + head('content-length: 1')}{`,
    [200],
    [200],
    [400],
  ),
  entry('forty in a row', plain('@TGS#C4').repeat(40), ...Array.from({ length: 40 }, () => [200])),

  entry(
    'a length and chunks (CL.TE)',
    `${head(`content-length: ${inner.length + 5}`, 'transfer-encoding: chunked')}0\r\n\r\n${inner}`,
    [400],
  ),
  entry(
    'chunks and a length (TE.CL)',
    `${head('transfer-encoding: chunked', 'content-length: 4')}${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`,
    [400],
  ),
  entry(
    'two encodings (TE.TE)',
    head('transfer-encoding: chunked', 'transfer-encoding: identity') +
      `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`,
    [400],
  ),
  entry('an encoding that is none', head('transfer-encoding: xchunked') + inner, [400]),
  entry(
    'a space before the colon',
    head('transfer-encoding : chunked', `content-length: ${inner.length}`) + inner,
    [400],
  ),
  entry('two lengths that differ', head('content-length: 0', `content-length: ${inner.length}`) + inner, [400]),
  entry('two lengths in one', head(`content-length: 0, ${inner.length}`) + inner, [400]),
  entry('a negative length', head('content-length: -1') + inner, [400]),
  entry('a length with a sign', head(`content-length: +${inner.length}`) + inner, [400]),
  entry('a length beyond all numbers', head('content-length: 99999999999999999999999') + inner, [400, 413]),
  entry('a length in hex', head('content-length: 0x10') + inner, [400]),
  entry('a folded header', `${head('x-a: b', ' transfer-encoding: chunked', 'content-length: 1')}{`, [400]),
  entry(
    'a length after a bare CR',
    head(`x-a: b\rcontent-length: 0`, `content-length: ${ok(SMUGGLED).length}`) + ok(SMUGGLED),
    [400],
  ),
  entry(
    'a body after a GET',
    `GET ${target} HTTP/1.1\r\nhost: x\r\ncontent-length: ${inner.length}\r\nconnection: close\r\n\r\n${inner}`,
    [405],
  ),
  entry(
    'a refused request does not set free what comes after it',
    head(`content-length: ${inner.length}`).replace('SdkAppid=1400701118', 'SdkAppid=1') + inner,
    [403],
  ),
  entry(
    'a body too large does not set free what comes after it',
    head('content-length: 70000') + 'x'.repeat(500) + inner,
    [400, 413],
  ),
  entry(
    'too many chunks do not set free what comes after them',
    head('transfer-encoding: chunked') + `11170\r\n${'x'.repeat(70_000)}\r\n`.repeat(2) + inner,
    [413],
  ),

  entry('a bad chunk size', `${head('transfer-encoding: chunked')}zz\r\n{}\r\n0\r\n\r\n`, [400]),
  entry('a negative chunk size', `${head('transfer-encoding: chunked')}-1\r\n{}\r\n0\r\n\r\n`, [400]),
  entry('a chunk size beyond all numbers', `${head('transfer-encoding: chunked')}ffffffffffffffffff\r\n{}`, [400]),
  entry('a chunk longer than it says', `${head('transfer-encoding: chunked')}1\r\n{}\r\n0\r\n\r\n`, [400]),
  entry('chunks without end', `${head('transfer-encoding: chunked')}2\r\n{}\r\n`, [400]),
  entry('a body shorter than its length', `${head('content-length: 500')}{`, [400]),
  entry('no length at all', head(), [400]),
  entry('an empty body', head('content-length: 0'), [400]),

  entry('HTTP/1.0', plain('@TGS#C5').replace('HTTP/1.1', 'HTTP/1.0'), [200]),
  entry('HTTP/0.9', `POST ${target}\r\n\r\n`, [400]),
  entry('HTTP/2', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1'), [400]),
  entry('HTTP/9.9', plain(SMUGGLED).replace('HTTP/1.1', 'HTTP/9.9'), [400]),
  entry('TLS', Buffer.from('16030100c8010000c40303', 'hex'), [400]),
  entry('no host', plain(SMUGGLED).replace('host: x\r\n', ''), [400]),
  entry('two hosts', plain(SMUGGLED, ['host: y']), [400]),
  entry('two hosts that are one', plain(SMUGGLED, ['host: x']), [400]),
  entry('a list of hosts', plain(SMUGGLED).replace('host: x', 'host: x, y'), [400]),
  entry('a host with a path', plain(SMUGGLED).replace('host: x', 'host: x/callback'), [400]),
  entry(
    'chunks in HTTP/1.0',
    `${head('transfer-encoding: chunked').replace('1.1', '1.0')}${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`,
    [400],
  ),
  entry('an encoding before the chunks', `${head('transfer-encoding: gzip, chunked')}0\r\n\r\n${inner}`, [400]),
  entry('HTTP/2.0 in the words of 1.1', plain(SMUGGLED).replace('HTTP/1.1', 'HTTP/2.0'), [400]),
  ...[
    '/x/%2e%2e/callback',
    '/x/../callback',
    '/%63allback',
    '//callback',
    '/callback/.',
    '/callback%2f',
    '/callback;x',
  ].map((path) => entry(`another spelling of the path: ${path}`, plain(SMUGGLED).replace('/callback', path), [404])),
  entry('a lower-case method', plain(SMUGGLED).replace('POST', 'post'), [400]),
  entry('an unknown method', plain(SMUGGLED).replace('POST', 'FROB'), [400]),
  entry('CONNECT', 'CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n'),
  entry('TRACE', 'TRACE /callback HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', [404, 405]),
  entry('OPTIONS *', 'OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', [400, 404, 405]),
  entry('an absolute target', plain('@TGS#C7').replace(target, `http://x${target}`), [200]),
  entry('an absolute target of another scheme', plain(SMUGGLED).replace(target, `ftp://x${target}`), [200, 400, 404]),
  entry('a target without path', plain(SMUGGLED).replace(target, '?x'), [400, 404]),
  entry('a NUL in the target', plain(SMUGGLED).replace('/callback', '/call\0back'), [400]),
  entry('a line of 100 kB', plain(SMUGGLED).replace('/callback?', `/callback?x=${'y'.repeat(100_000)}&`), [400]),
  entry('a header of 100 kB', plain(SMUGGLED, [`x: ${'y'.repeat(100_000)}`]), [400]),
  entry(
    'ten thousand headers',
    plain(
      SMUGGLED,
      Array.from({ length: 10_000 }, (_, i) => `h${i}: 1`),
    ),
    [400],
  ),
  entry('a NUL in a header', plain(SMUGGLED, ['x: a\0b']), [400]),
  entry('a header without a name', plain(SMUGGLED, [': x']), [400]),
  entry('bare LF', plain('@TGS#C8').replaceAll('\r\n', '\n'), [200, 400]),
  entry('bare CR', plain(SMUGGLED).replaceAll('\r\n', '\r'), [400]),
  entry('upgrade to a websocket', plain('@TGS#C9', ['upgrade: websocket', 'connection: upgrade']), [200, 400]),
  entry(
    'upgrade to h2c',
    plain('@TGS#C10', ['upgrade: h2c', 'connection: upgrade, http2-settings', 'http2-settings: AAA']),
    [200, 400],
  ),
  entry('expect: something else', plain('@TGS#C11', ['expect: 200-maybe']), [200]),
  entry('a gzipped body', toRequest(target, ['content-encoding: gzip'], gzipSync(ok('@TGS#C14'))), [200]),
  entry('a bomb', toRequest(target, ['content-encoding: deflate'], deflateRawSync(Buffer.alloc(20_000_000))), [400]),
  entry('bytes of no meaning', Buffer.from(Array.from({ length: 2_000 }, (_, i) => (i * 97 + 13) & 0xff)), [400]),
  entry('one byte', 'P'),
  entry('nothing', ''),
  entry('only line ends', '\r\n'.repeat(1_000)),
  entry(
    'keys twice: the last one counts',
    toRequest(
      target,
      [],
      Buffer.from(
        `{"CallbackCommand":"${COMMAND}","GroupId":"@TGS#C12","GroupId":"@TGS#C13","Type":"Public","Operator_Account":"a","Name":"x","Name":"y"}`,
      ),
    ),
    [200],
  ),
  ...[
    ['what is fifty times as long when it is shown', { Introduction: '\x7f'.repeat(60_000) }],
    ['markup', { Name: '<script>'.repeat(1_000), FaceUrl: '\u202e"><img src=x>' }],
    [
      '1,500 custom fields',
      { UserDefinedDataList: Array.from({ length: 1_500 }, (_, k) => ({ Key: `${k}`, Value: '' })) },
    ],
    [
      'names of Object.prototype',
      { UserDefinedDataList: Object.getOwnPropertyNames(Object.prototype).map((Key) => ({ Key, Value: 'x' })) },
    ],
    ['an EventTime of tomorrow', { EventTime: Date.now() + 86_400_000 }],
  ].map(([name, fields]) =>
    entry(
      `a callback with ${name}`,
      toRequest(target, [], Buffer.from(body({ GroupId: '@TGS#C15', ...(fields as object) }))),
      [200],
    ),
  ),
  entry('60,000 brackets', toRequest(target, [], Buffer.from(`{"a":${'['.repeat(60_000)}`)), [400]),
  entry(
    '30,000 brackets, closed',
    toRequest(
      target,
      [],
      Buffer.from(
        `{"CallbackCommand":"${COMMAND}","GroupId":"@TGS#C14","Type":"Public","Operator_Account":"a","Deep":${'['.repeat(30_000)}${']'.repeat(30_000)}}`,
      ),
    ),
    [200, 400],
  ),
];
