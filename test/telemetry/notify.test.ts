/** Who has no Prometheus is told of the verdict, once a minute at most, and over a restart. */
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Clock } from '../../src/model/clock.ts';
import { systemClock } from '../../src/model/clock.ts';
import { createSignals } from '../../src/model/signal.ts';
import type { Tone } from '../../src/model/verdict.ts';
import { keepNotifying } from '../../src/telemetry/notify.ts';

/** A hook that keeps what it is sent, and answers what the test says. */
async function hook() {
  const got: { text: string; copies: { tone: Tone } }[] = [];
  const state = { status: 200 };
  const asked: string[] = [];
  const server = createServer(async (request, response) => {
    asked.push(`${request.method} ${request.url}`);
    if (request.url === '/signin') return void response.end('who are you?');
    const body = (await request.toArray()).join('');
    if (state.status === 200) got.push(JSON.parse(body));
    response.writeHead(state.status, { location: '/signin' }).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/secret`, got, asked, state };
}

function notifying(url: string, journalFile: string, on: readonly Tone[] = ['green', 'amber', 'red']) {
  const signals = createSignals();
  const failures: string[] = [];
  signals.on('notify.failed', ({ to, message }) => failures.push(`${to}: ${message}`));
  const minutes: (() => void)[] = [];
  // A minute is over when the test says so.
  const clock: Clock = { ...systemClock, sleep: () => new Promise((resolve) => minutes.push(resolve)) };
  const stopping = new AbortController();
  keepNotifying({ settings: () => [{ url, on: [...on] }], sdkAppId: '1', journalFile, clock, signals, stopping });
  return {
    failures,
    minutes,
    stop: () => stopping.abort(),
    say: (tone: Tone, says: string) =>
      signals.emit('verdict.changed', {
        recording: { tone: 'green', says: 'Callbacks are recorded' },
        copies: { tone, says },
      }),
    pass: () => {
      for (const over of minutes.splice(0)) over();
    },
  };
}

function journal(): string {
  const folder = mkdtempSync(join(tmpdir(), 'notify-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'journal.db');
}

test('each change is told; of those within a minute the last', async () => {
  const { url, got } = await hook();
  const it = notifying(url, journal());
  it.say('red', 'index is gone');
  await expect.poll(() => got.length).toBe(1);
  expect(got[0]).toMatchObject({
    text: 'group-sync-bridge, app 1: Callbacks are recorded. index is gone.',
    copies: { tone: 'red' },
  });
  await expect.poll(() => it.minutes.length).toBe(1);
  it.say('amber', 'two');
  it.say('green', 'three');
  it.pass();
  await expect.poll(() => got.map(({ copies }) => copies.tone)).toEqual(['red', 'green']);
});

test('only what is asked for is told', async () => {
  const { url, got } = await hook();
  const it = notifying(url, journal(), ['red']);
  it.say('amber', 'one');
  it.say('red', 'two');
  await expect.poll(() => got.map(({ copies }) => copies.tone)).toEqual(['red']);
});

test('what could not be told is told later, also after a restart, and names no secret', async () => {
  const { url, got, state } = await hook();
  const file = journal();
  state.status = 500;
  const first = notifying(url, file);
  first.say('red', 'index is gone');
  await expect.poll(() => first.failures).toEqual([`${new URL(url).origin}: it answers 500`]);
  first.stop();
  state.status = 200;
  notifying(url, file);
  await expect.poll(() => got.map(({ copies }) => copies.tone)).toEqual(['red']);
  await expect.poll(() => existsSync(`${file}.notify.json`) && readFileSync(`${file}.notify.json`, 'utf8')).toBe('{}');
});

test.each([302, 307])(
  'an answer of %i is not followed: what it leads to is not told, and got nothing',
  async (status) => {
    const { url, asked, state } = await hook();
    state.status = status;
    const it = notifying(url, journal());
    it.say('red', 'index is gone');
    await expect.poll(() => it.failures).toEqual([`${new URL(url).origin}: it answers ${status}`]);
    expect(asked).toEqual(['POST /secret']);
  },
);

test('a disk that takes nothing does not keep it from being told', async () => {
  const { url, got } = await hook();
  const it = notifying(url, join(journal(), 'no', 'such', 'folder'));
  it.say('red', 'the disk is full');
  await expect.poll(() => got.map(({ copies }) => copies.tone)).toEqual(['red']);
});
