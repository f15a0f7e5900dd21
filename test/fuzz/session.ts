/** One bridge, as a user starts it, under odd requests; and what is asked of it when they are over. */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { CorpusEntry } from './corpus.ts';
import { SMUGGLED } from './corpus.ts';
import { type Answer, complaintAbout, readAnswers } from './oracle.ts';
import type { FuzzRequest } from './requests.ts';

const PATIENCE_MS = 20_000;

/** Sends the bytes, then says that there are no more; everything that comes back until the connection ends. */
export function exchange(port: number, bytes: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    const socket = connect(port, '127.0.0.1', () => socket.end(bytes));
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no end after ${PATIENCE_MS} ms; so far ${Buffer.concat(parts).subarray(0, 200)}`));
    }, PATIENCE_MS);
    socket.on('data', (part) => parts.push(part));
    // A reset after the answer is no failure: more was sent than was read.
    socket.on('error', () => {});
    socket.once('close', () => {
      clearTimeout(timer);
      resolve(Buffer.concat(parts));
    });
  });
}

export interface Judged {
  readonly answers: readonly Answer[];
  readonly complaint?: string | undefined;
}

export async function judge(port: number, { bytes, whole, kind }: FuzzRequest): Promise<Judged> {
  let received: Buffer;
  try {
    received = await exchange(port, bytes);
  } catch (thrown) {
    return { answers: [], complaint: (thrown as Error).message };
  }
  // A mutated head may or may not be a HEAD request: then only its length says whether an answer has a body.
  const headOnly = kind === 'structured HEAD';
  const { answers, complaint } = readAnswers(received, headOnly);
  const [first] = answers.flatMap((answer) => complaintAbout(answer, headOnly) ?? []);
  const missing = whole && answers.length !== 1 ? `${answers.length} answers to one request` : undefined;
  return { answers, complaint: complaint ?? first ?? missing };
}

export async function judgeCorpus(port: number, { bytes, statuses }: CorpusEntry): Promise<Judged> {
  const { answers, complaint } = await judge(port, { kind: 'corpus', bytes, whole: false });
  const seen = answers.map(({ status }) => status);
  const wrong =
    statuses.length > 0 &&
    (seen.length !== statuses.length || !seen.every((status, index) => statuses[index]?.includes(status)));
  return { answers, complaint: complaint ?? (wrong ? `answered ${seen}, expected ${statuses.join(' ')}` : undefined) };
}

/** Texts that the log of a bridge must not hold. */
export function complaintAboutLog(log: string): string | undefined {
  const bad = log
    .split('\n')
    .find((line) => /"level":(50|60)|Unhandled|internal error| {4}at /.test(line) && !line.includes('quarantine'));
  return bad === undefined ? undefined : `the log holds ${bad.slice(0, 500)}`;
}

/** The groups of the events that the file connector wrote. */
export function recordedGroups(file: string): Set<string> {
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return new Set(lines.map((line) => (JSON.parse(line) as { subject: string }).subject));
}

export function complaintAboutSmuggling(groups: ReadonlySet<string>): string | undefined {
  return groups.has(SMUGGLED) ? 'a request hidden in another was taken for one of its own' : undefined;
}

/** Resident memory of a process, in MiB (Linux). */
export function residentMiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}
