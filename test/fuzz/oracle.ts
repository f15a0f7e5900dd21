/** The rules that every answer must keep, whatever was asked. Shares nothing with src. */

/** The statuses of the status table. */
const DOCUMENTED = new Set([200, 400, 401, 403, 404, 405, 413, 503]);

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The answers of one connection, in order; a complaint when they are not HTTP. */
export function readAnswers(bytes: Buffer, headOnly: boolean): { answers: Answer[]; complaint?: string } {
  const answers: Answer[] = [];
  let rest = bytes;
  while (rest.length > 0) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return { answers, complaint: `an answer without an end to its head: ${rest.subarray(0, 200)}` };
    const [statusLine = '', ...lines] = rest.subarray(0, end).toString('latin1').split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(statusLine)?.[1]);
    if (Number.isNaN(status)) return { answers, complaint: `no status line: ${statusLine}` };
    rest = rest.subarray(end + 4);
    // Says that the body may come; the answer follows.
    if (status === 100) continue;
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    );
    const length = headOnly ? 0 : Number(headers['content-length']);
    if (!Number.isInteger(length)) return { answers, complaint: `no content-length: ${lines.join(' | ')}` };
    if (rest.length < length) return { answers, complaint: 'the body is shorter than its content-length' };
    answers.push({ status, headers, body: rest.subarray(0, length).toString() });
    rest = rest.subarray(length);
  }
  return { answers };
}

const MAX_INFO = 2_000;
const INTERNALS = /\n\s+at |node:internal|\.ts:\d|\.js:\d|node_modules|\/src\/|undefined is not|Cannot read propert/;

/** Returns what is wrong with one answer, or undefined. */
export function complaintAbout({ status, headers, body }: Answer, headOnly = false): string | undefined {
  if (!DOCUMENTED.has(status)) return `status ${status} is not documented`;
  if (!headers['content-type']?.startsWith('application/json')) return `content-type ${headers['content-type']}`;
  if ('x-powered-by' in headers || 'server' in headers) return 'a header that says what runs here';
  if (headOnly) return undefined;
  let envelope: Record<string, unknown>;
  try {
    envelope = JSON.parse(body) as Record<string, unknown>;
  } catch {
    return `not JSON: ${body.slice(0, 200)}`;
  }
  if (Object.keys(envelope).join() !== 'ActionStatus,ErrorInfo,ErrorCode') return `keys ${Object.keys(envelope)}`;
  const { ActionStatus, ErrorInfo, ErrorCode } = envelope;
  if (typeof ErrorInfo !== 'string') return 'ErrorInfo is no text';
  const consistent =
    status === 200
      ? ActionStatus === 'OK' && ErrorCode === 0 && ErrorInfo === ''
      : ActionStatus === 'FAIL' && ErrorCode === status && ErrorInfo !== '';
  if (!consistent) return `status ${status} with ${body.slice(0, 200)}`;
  if (ErrorInfo.length > MAX_INFO) return `ErrorInfo of ${ErrorInfo.length} characters`;
  if (INTERNALS.test(ErrorInfo)) return `it shows the inside: ${ErrorInfo.slice(0, 300)}`;
  return undefined;
}
