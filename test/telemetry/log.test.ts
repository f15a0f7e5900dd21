/** What anyone may bring about from outside does not fill the log, and what is said is true. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import pino from 'pino';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { Fault } from '../../src/model/fault.ts';
import { createSignals, type SignalName, type Signals } from '../../src/model/signal.ts';
import { logSignals } from '../../src/telemetry/log.ts';

const FAULT: Fault = { code: 'internal', message: 'x' };
const PAYLOADS: Signals = {
  'bridge.started': { receiver: '', admin: '', connectors: [], journal: '' },
  'bridge.stopping': { reason: '' },
  'bridge.stopped': {},
  'config.reloaded': { file: '', added: [], changed: [], removed: [], unchanged: 0, applied: [], needsRestart: [] },
  'config.refused': { file: '', fault: FAULT, problems: [] },
  'callback.answered': { command: 'other', outcome: 'refused', status: 400, ms: 1, fault: FAULT },
  'callback.crashed': { message: 'x' },
  'callback.held': { held: 1 },
  'forward.failed': { command: 'other', fault: FAULT },
  'connection.limit': { section: 'receiver', most: 1, evicted: true },
  'receiver.open': { message: '' },
  'descriptors.few': { limit: 1, wanted: 1, most: 1 },
  'request.strayed': { peer: '', what: '', why: '', code: 'path-unknown' },
  'tls.handshake-failed': { message: '' },
  'tls.loaded': { file: '', notAfter: 0 },
  'addresses.changed': { count: 1 },
  'addresses.failed': { fault: FAULT, known: 1 },
  'tls.failed': { fault: FAULT },
  'clock.skew': { groupId: 'g', aheadMs: 1 },
  'clock.disagreement': { skewMs: 1 },
  'journal.committed': { events: 1, duplicates: 0, ms: 1, head: 1 },
  'journal.merged': { upTo: 1 },
  'journal.failed': { fault: FAULT },
  'journal.recovered': {},
  'journal.damaged': { file: '', setAside: '', reason: '' },
  'journal.reindexed': { file: '', reason: '' },
  'journal.pruned': { events: 1 },
  'callback.quarantined': { fault: FAULT },
  'callback.lossy': { groupId: 'g' },
  'callback.bounded': { groupId: 'g', fields: 1 },
  'quarantine.mapped': { mapped: 1, left: 0 },
  'quarantine.discarded': { count: 1 },
  'admin.token-wrong': { peer: '' },
  'reconcile.started': { resumed: false, dryRun: false },
  'reconcile.ended': {
    ms: 1,
    dryRun: false,
    counts: { read: 0, inStep: 0, mended: 0, gone: 0, failed: 0, withheld: 0 },
  },
  'dead-letters.discarded': { connector: 'a', count: 1 },
  'lane.opened': { connector: 'a' },
  'lane.delivered': { connector: 'a', delivered: 1, superseded: 0, ms: 1, receivedAt: [] },
  'lane.cursor': { connector: 'a', cursor: 1 },
  'lane.unreachable': { connector: 'a', fault: FAULT, attempt: 1, retryInMs: 1 },
  'lane.recovered': { connector: 'a', downMs: 1 },
  'lane.retry': { connector: 'a', eventId: '', groupId: '', attempts: 1, retryInMs: 1, fault: FAULT },
  'lane.dead-letter': { connector: 'a', eventId: '', groupId: '', attempts: 1, fault: FAULT },
  'verdict.changed': { recording: { tone: 'green', says: '' }, copies: { tone: 'red', says: '' } },
  'notify.failed': { to: '', message: '' },
  'copy.state': { connector: 'a', copy: { differing: 0 } },
  'copy.lost': { connector: 'a', reason: 'x', next: 'y' },
  'copy.restored': { connector: 'a', brought: 1, lacking: 0, before: 0 },
  'copy.mended': { connector: 'a', count: 1 },
  'copy.verified': { connector: 'a', looked: 1, found: 1, mended: 1, ms: 1 },
  'lane.resync': { connector: 'a', how: 'join', named: false, done: 0, total: 0, mended: 0, failed: 0, ended: true },
  'lane.resync-failed': { connector: 'a', groupId: '', fault: FAULT },
  'lane.state': { connector: 'a', state: { kind: 'running' } },
  'worker.assigned': { connector: 'a', partitions: [] },
  'source.gap': { connector: 'a', topic: '', partition: 0, from: '', to: '' },
  'lane.note': { connector: 'a', message: '' },
  'relay.crashed': { fault: FAULT, restartInMs: 1 },
};

/** Why these may be logged each time: no callback and no event brings them about. */
const UNLIMITED: Partial<Record<SignalName, string>> = {
  'bridge.started': 'once a process',
  'bridge.stopping': 'once a process',
  'bridge.stopped': 'once a process',
  'receiver.open': 'once a process',
  'descriptors.few': 'once a process',
  'config.reloaded': 'a person asks for it',
  'config.refused': 'a person asks for it',
  'tls.loaded': 'a file changed',
  'addresses.changed': 'the service moved',
  'addresses.failed': 'once a refresh',
  'tls.failed': 'a file changed',
  'journal.damaged': 'once a start',
  'journal.reindexed': 'once a start',
  'quarantine.mapped': 'a person asks for it',
  'quarantine.discarded': 'a person asks for it',
  'reconcile.started': 'a person or the schedule asks for it',
  'reconcile.ended': 'a person or the schedule asks for it',
  'dead-letters.discarded': 'a person asks for it',
  'lane.resync': 'a person asks for it',
  'verdict.changed': 'at most once in ten seconds',
  'notify.failed': 'once a minute',
  'copy.lost': 'once a look at the destination',
  'copy.restored': 'once a loss',
  'copy.verified': 'once a comparison',
  'worker.assigned': 'a worker comes or goes',
  'lane.note': 'a destination is opened',
  'source.gap': 'a topic removed records for good: each is one loss',
};

function listen() {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const lines: Record<string, unknown>[] = [];
  const signals = createSignals();
  logSignals(signals, pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) }));
  return { lines, signals };
}

test.each(Object.keys(PAYLOADS) as SignalName[])(
  '%s: 250 times give two lines in ten seconds, or nobody outside brings it about',
  (name) => {
    const { lines, signals } = listen();
    for (let n = 0; n < 250; n++) signals.emit(name, PAYLOADS[name]);
    vi.advanceTimersByTime(10_000);
    expect(lines.length <= 2).toBe(UNLIMITED[name] === undefined);
    if (lines.length === 2) expect(lines).toMatchObject([{ since: 1 }, { since: 249 }]);
  },
);

test.each(['callback.crashed', 'request.strayed', 'tls.handshake-failed', 'callback.lossy'] as const)(
  '%s: texts of others make no kinds of their own',
  (name) => {
    const { lines, signals } = listen();
    for (let n = 0; n < 250; n++) {
      signals.emit(name, {
        ...PAYLOADS[name],
        ...Object.fromEntries(Object.keys(PAYLOADS[name]).map((key) => [key, `${n}`])),
        code: 'path-unknown',
      });
    }
    expect(lines).toHaveLength(1);
  },
);

test('kinds are told apart, and the end of a burst is told, at the latest when the bridge stops', () => {
  const { lines, signals } = listen();
  const refuse = (code: 'sign-wrong' | 'not-json') =>
    signals.emit('callback.answered', {
      ...{ command: 'other', outcome: 'refused', status: 400, ms: 1 },
      fault: { code, message: code },
    });
  for (let i = 0; i < 3; i++) refuse('sign-wrong');
  refuse('not-json');
  signals.emit('admin.token-wrong', { peer: '192.0.2.1' });
  expect(lines).toMatchObject([
    { level: 40, code: 'sign-wrong', since: 1 },
    { level: 40, code: 'not-json', since: 1 },
    { level: 40, peer: '192.0.2.1', since: 1 },
  ]);
  vi.advanceTimersByTime(10_000);
  refuse('sign-wrong');
  refuse('sign-wrong');
  signals.emit('bridge.stopped', {});
  const refused = { code: 'sign-wrong', since: 2, msg: 'refused a callback: sign-wrong' };
  expect(lines.slice(3)).toMatchObject([refused, refused, { msg: 'stopped' }]);
});

test('fields that look like known ones are a warning, although the callback was recorded', () => {
  const { lines, signals } = listen();
  const misnamed = ['GroupName (did you mean "Name"?)'];
  signals.emit('callback.answered', { command: 'c', outcome: 'recorded', status: 200, ms: 1, misnamed });
  expect(lines).toMatchObject([{ level: 40, command: 'c', msg: expect.stringContaining('GroupName (did you mean') }]);
});

test('each cause of dead letters has a line of its own, up to a number of causes', () => {
  const { lines, signals } = listen();
  const refuse = (message: string) =>
    signals.emit('lane.dead-letter', { ...PAYLOADS['lane.dead-letter'], fault: { code: 'event-refused', message } });
  for (let n = 0; n < 250; n++) {
    refuse(`[name] cannot hold '${n}'`);
    refuse(`[introduction] cannot hold '${n}'`);
  }
  expect(lines).toHaveLength(2);
  const letters = (n: number) => [...String(n)].map((digit) => 'abcdefghij'[Number(digit)]).join('');
  for (let n = 0; n < 250; n++) refuse(`[${letters(n)}] is not known`);
  expect(lines).toHaveLength(101);
});

test('a resync says what it did: brought, mended, or only compared; all groups, or those that were named', () => {
  const lines: Record<string, unknown>[] = [];
  const signals = createSignals();
  logSignals(signals, pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) }));
  const counts = { connector: 'index', done: 5, total: 5, mended: 2, failed: 0 };
  signals.emit('lane.resync', { ...counts, how: 'join', named: false, ended: false });
  expect(lines).toEqual([]);
  signals.emit('lane.resync', { ...counts, how: 'join', named: false, ended: true });
  signals.emit('lane.resync', { ...counts, how: 'repair', named: false, ended: true, failed: 1 });
  signals.emit('lane.resync', { ...counts, how: 'compare', named: false, ended: true });
  signals.emit('lane.resync', { ...counts, how: 'repair', named: true, done: 1, ended: true });
  expect(lines.map(({ msg }) => msg)).toEqual([
    'index: brought all 5 groups of the journal to it',
    'index: compared with all 5 groups of the journal: 2 not in step and mended, 1 not taken',
    'index: compared with all 5 groups of the journal, nothing was written: 2 not in step',
    'index: compared with 1 named group: 2 not in step and mended',
  ]);
});

test.each(['pipe', 'terminal'])('a %s that nobody reads stops nothing, and how much was lost is told', async (to) => {
  const folder = mkdtempSync(join(tmpdir(), 'log-'));
  const [program, through] = [join(folder, 'program.mjs'), join(folder, 'through')];
  writeFileSync(
    program,
    `import { writeFileSync } from 'node:fs';
    import { createLogger } from '${resolve('src/telemetry/log.ts')}';
    const log = createLogger('info');
    for (let n = 0; n < 400; n++) log.info({ text: 'x'.repeat(4_000) }, 'a line');
    writeFileSync('${through}', '');
    setInterval(() => {}, 1_000);`,
  );
  const onTerminal = ['-qc', `${process.execPath} ${program}`, '/dev/null'];
  const child = to === 'pipe' ? spawn(process.execPath, [program]) : spawn('script', onTerminal);
  onTestFinished(() => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });
  await expect.poll(() => existsSync(through), { timeout: 5_000 }).toBe(true);
  let said = '';
  const reader = to === 'pipe' ? child.stderr : child.stdout;
  reader.setEncoding('utf8').on('data', (text) => {
    said += text;
  });
  await expect.poll(() => said, { timeout: 20_000 }).toMatch(/"lost":\d+.*it lacks \d+ lines here/);
  const written = said
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(written.length - 1 + written.at(-1).lost).toBe(400);
});
