/** Every signal brings exactly what it must on /metrics, and every way of a callback emits its signals. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Registry } from 'prom-client';
import { describe, expect, onTestFinished, test } from 'vitest';
import { watchLanes } from '../../src/delivery/health.ts';
import { COMMANDS } from '../../src/intake/commands.ts';
import { systemClock } from '../../src/model/clock.ts';
import { UNSEEN_COPY } from '../../src/model/copy.ts';
import { BridgeError } from '../../src/model/fault.ts';
import {
  createSignals,
  type LaneState,
  type SignalBus,
  type SignalName,
  type Signals,
} from '../../src/model/signal.ts';
import { judge, type Standing } from '../../src/model/verdict.ts';
import { createMetrics, type MetricSources } from '../../src/telemetry/metrics.ts';
import { NOW, startReceiver } from '../intake/receiver.testbed.ts';
import { bridgeHome, startBridgeProcess } from '../support/bridge.process.ts';
import { body, COMMAND, search } from '../support/callbacks.ts';

const fault = { code: 'internal', message: 'a fault' } as const;
const clock = { ...systemClock, now: () => NOW };

const standing = (name: string, changed: Partial<Standing> = {}): Standing => ({
  name,
  state: { kind: 'connecting' },
  lag: 0,
  lagSeconds: 0,
  deadLetters: 0,
  ...changed,
});

const statusOf = (connectors: readonly Standing[]): ReturnType<MetricSources['status']> => ({
  verdict: judge({ tone: 'green', says: '' }, [], 0),
  journal: { head: 10, bytes: 4096, quarantined: 0 },
  connectors,
});

function sources(changes: Partial<MetricSources> = {}): MetricSources {
  return {
    version: '1.2.3',
    commands: COMMANDS.keys(),
    status: () => statusOf([standing('a'), standing('b')]),
    clockDisagreement: () => 0,
    journalMaxBytes: 8192,
    setAside: false,
    reconcile: () => ({ every: 0 }),
    ...changes,
  };
}

/** Each series of the bridge's own with its value; of histograms their count and sum. */
async function samples(registry: Registry): Promise<Record<string, number>> {
  return parse(await registry.metrics());
}

function parse(text: string): Record<string, number> {
  const lines = text.split('\n').filter((line) => /^bridge_/.test(line) && !/_bucket\{/.test(line));
  return Object.fromEntries(
    lines.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

/** What is another value than before, or new. */
function changes(before: Record<string, number>, after: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(after).filter(([series, value]) => before[series] !== value));
}

type Expected<Name extends SignalName> =
  | { readonly payload: Signals[Name]; readonly changes: Readonly<Record<string, number>> }
  | { readonly none: string };

const counts = { read: 10, inStep: 4, mended: 3, gone: 2, failed: 1, withheld: 0 };
const about = { connector: 'a', eventId: 'e', groupId: 'g', attempts: 1, fault };

/** A new signal needs a line: what it brings, or why it brings nothing. */
const EXPECTED: { readonly [Name in SignalName]: Expected<Name> } = {
  'receiver.open': { none: 'a line of the log at the start' },
  'descriptors.few': { none: 'a line of the log at the start' },
  'bridge.started': { none: 'bridge_info and process_start_time_seconds say so' },
  'bridge.stopping': { none: 'the scrape fails' },
  'bridge.stopped': { none: 'the scrape fails' },
  'config.reloaded': {
    payload: { file: 'x', added: ['c'], changed: ['b'], removed: [], unchanged: 0, applied: [], needsRestart: [] },
    changes: {
      'bridge_config_reloads_total{outcome="applied"}': 1,
      'bridge_delivered_total{connector="c"}': 0,
      'bridge_delivery_retries_total{connector="c"}': 0,
      'bridge_dead_lettered_total{connector="c"}': 0,
      'bridge_restore_failures_total{connector="c"}': 0,
      'bridge_source_gap_records_total{connector="c"}': 0,
      'bridge_copy_mended_total{connector="c"}': 0,
    },
  },
  'config.refused': {
    payload: { file: 'x', fault, problems: ['x:1:1 y: z'] },
    changes: { 'bridge_config_reloads_total{outcome="refused"}': 1, bridge_config_last_reload_success: 0 },
  },
  'callback.answered': {
    payload: { command: COMMAND, outcome: 'duplicate', status: 200, ms: 1500 },
    changes: {
      [`bridge_callbacks_total{command="${COMMAND}",outcome="duplicate",fault=""}`]: 1,
      bridge_ack_seconds_sum: 1.5,
      bridge_ack_seconds_count: 1,
      bridge_last_callback_timestamp_seconds: NOW / 1000,
    },
  },
  'callback.held': { payload: { held: 3 }, changes: { bridge_held_answers: 3 } },
  'callback.crashed': { payload: { message: 'x' }, changes: { bridge_callback_crashes_total: 1 } },
  'forward.failed': {
    payload: { command: 'other', fault },
    changes: { 'bridge_unforwarded_total{command="other"}': 1 },
  },
  'connection.limit': {
    payload: { section: 'admin', most: 5, evicted: false },
    changes: { 'bridge_connections_crowded_total{server="admin",fate="refused"}': 1 },
  },
  'request.strayed': {
    payload: { peer: '::1', what: 'GET /', why: 'nothing is here', code: 'path-unknown' },
    changes: { 'bridge_callbacks_total{command="none",outcome="refused",fault="path-unknown"}': 1 },
  },
  'tls.handshake-failed': { payload: { message: 'x' }, changes: { bridge_tls_handshakes_failed_total: 1 } },
  'tls.loaded': {
    payload: { file: 'x', notAfter: 1_800_000_000_000 },
    changes: { bridge_certificate_not_after_timestamp_seconds: 1_800_000_000 },
  },
  'addresses.changed': { none: 'it is logged' },
  'addresses.failed': { none: 'it is logged; while none are known /readyz has a warning' },
  'tls.failed': { payload: { fault }, changes: { bridge_certificate_failures_total: 1 } },
  'clock.disagreement': { none: 'bridge_clock_skew_seconds is read' },
  'clock.skew': { payload: { groupId: 'g', aheadMs: 1 }, changes: { bridge_event_time_ahead_total: 1 } },
  'callback.quarantined': { none: 'bridge_callbacks_total counts the outcome, bridge_quarantined what is kept' },
  'callback.lossy': { payload: { groupId: 'g' }, changes: { bridge_lossy_callbacks_total: 1 } },
  'callback.bounded': { payload: { groupId: 'g', fields: 2 }, changes: { bridge_bounded_callbacks_total: 1 } },
  'quarantine.mapped': { none: 'bridge_quarantined' },
  'quarantine.discarded': { none: 'bridge_quarantined' },
  'admin.token-wrong': { none: 'it is logged, and answered 429 when it goes on' },
  'journal.committed': {
    payload: { events: 2, duplicates: 0, ms: 500, head: 10 },
    changes: { bridge_commit_seconds_sum: 0.5, bridge_commit_seconds_count: 1 },
  },
  'journal.merged': { none: 'it wakes the lanes' },
  'journal.failed': { payload: { fault }, changes: { bridge_recordable: 0 } },
  'journal.recovered': { none: 'tested together with journal.failed' },
  'journal.reindexed': { none: 'emitted before anybody listens, and it lost nothing: the log says it' },
  'journal.damaged': { none: 'emitted before anybody listens: bridge_journal_set_aside, tested below' },
  'journal.pruned': { payload: { events: 7 }, changes: { bridge_pruned_total: 7 } },
  'reconcile.started': { payload: { resumed: false, dryRun: false }, changes: { bridge_reconcile_running: 1 } },
  'reconcile.ended': {
    payload: { ms: 2000, dryRun: false, counts },
    changes: {
      'bridge_reconcile_runs_total{outcome="incomplete"}': 1,
      'bridge_reconcile_groups_total{result="in_step"}': 4,
      'bridge_reconcile_groups_total{result="mended"}': 3,
      'bridge_reconcile_groups_total{result="gone"}': 2,
      'bridge_reconcile_groups_total{result="failed"}': 1,
      bridge_reconcile_duration_seconds: 2,
    },
  },
  'dead-letters.discarded': { none: 'bridge_dead_letters' },
  'lane.opened': { none: 'lane.state follows' },
  'lane.delivered': {
    payload: { connector: 'a', delivered: 2, superseded: 1, ms: 250, receivedAt: [NOW - 1000, NOW - 3000] },
    changes: {
      'bridge_delivered_total{connector="a"}': 3,
      'bridge_delivery_seconds_sum{connector="a"}': 0.25,
      'bridge_delivery_seconds_count{connector="a"}': 1,
      'bridge_end_to_end_seconds_sum{connector="a"}': 4,
      'bridge_end_to_end_seconds_count{connector="a"}': 2,
    },
  },
  'lane.cursor': { none: 'the lag is asked for at each scrape, in events and in seconds' },
  'lane.unreachable': {
    payload: { connector: 'a', fault, attempt: 1, retryInMs: 1 },
    changes: { 'bridge_delivery_retries_total{connector="a"}': 1 },
  },
  'lane.recovered': { none: 'lane.state follows' },
  'lane.retry': { payload: { ...about, retryInMs: 1 }, changes: { 'bridge_delivery_retries_total{connector="a"}': 1 } },
  'lane.dead-letter': { payload: about, changes: { 'bridge_dead_lettered_total{connector="a"}': 1 } },
  'verdict.changed': { none: 'bridge_verdict_* are read at each scrape' },
  'notify.failed': { none: 'a line of the log' },
  'copy.state': { none: 'bridge_copy_* are read at each scrape' },
  'copy.lost': { none: 'bridge_copy_incomplete says so' },
  'copy.restored': { none: 'bridge_copy_incomplete says so' },
  'copy.mended': {
    payload: { connector: 'a', count: 3 },
    changes: { 'bridge_copy_mended_total{connector="a"}': 3 },
  },
  'copy.verified': { none: 'bridge_copy_verified_timestamp_seconds says so' },
  'lane.resync': { none: 'shown by status' },
  'lane.resync-failed': {
    payload: { connector: 'a', groupId: 'g', fault },
    changes: { 'bridge_restore_failures_total{connector="a"}': 1 },
  },
  'lane.state': { none: 'bridge_connector_up and bridge_connector_paused are read at each scrape' },
  'source.gap': {
    payload: { connector: 'a', topic: 't', partition: 0, from: '14', to: '16' },
    changes: { 'bridge_source_gap_records_total{connector="a"}': 3 },
  },
  'worker.assigned': { none: 'GET /api/status of a worker says so, and its lag is that of these' },
  'lane.note': { none: 'for people' },
  'relay.crashed': { payload: { fault, restartInMs: 1 }, changes: { bridge_relay_restarts_total: 1 } },
};

describe('each signal brings what it must, and nothing else', () => {
  for (const [name, expected] of Object.entries(EXPECTED)) {
    if ('none' in expected) continue;
    test(name, async () => {
      const signals = createSignals();
      const registry = createMetrics(signals, clock, sources());
      const before = await samples(registry);
      (signals.emit as (name: string, payload: unknown) => void)(name, expected.payload);
      expect(changes(before, await samples(registry))).toEqual(expected.changes);
    });
  }

  test('each that is said to bring nothing brings nothing', async () => {
    const signals = createSignals();
    const registry = createMetrics(signals, clock, sources());
    const before = await samples(registry);
    signals.emit('bridge.started', { receiver: '', admin: '', connectors: [], journal: '' });
    signals.emit('callback.quarantined', { fault });
    signals.emit('quarantine.mapped', { mapped: 1, left: 1 });
    signals.emit('quarantine.discarded', { count: 1 });
    signals.emit('admin.token-wrong', { peer: '127.0.0.1' });
    signals.emit('dead-letters.discarded', { connector: 'a', count: 1 });
    signals.emit('lane.opened', { connector: 'a' });
    signals.emit('lane.cursor', { connector: 'a', cursor: 5 });
    signals.emit('lane.recovered', { connector: 'a', downMs: 1 });
    signals.emit('lane.note', { connector: 'a', message: 'x' });
    signals.emit('reconcile.ended', { ms: 1, dryRun: true, counts });
    expect(changes(before, await samples(registry))).toEqual({});
  });
});

describe('what goes on is told as it stands', () => {
  function measured(changed: Partial<MetricSources> = {}): {
    signals: SignalBus;
    read(): Promise<Record<string, number>>;
  } {
    const signals = createSignals();
    const registry = createMetrics(signals, clock, sources(changed));
    return { signals, read: () => samples(registry) };
  }

  test('the status is made once for a scrape', async () => {
    let made = 0;
    const { read } = measured({
      status() {
        made++;
        return statusOf([]);
      },
    });
    // Counters of connectors begin with a zero.
    await read();
    made = 0;
    for (const scrapes of [1, 2]) {
      expect(await read()).toMatchObject({ bridge_verdict_recording: 0, bridge_verdict_copies: 1 });
      expect(made).toBe(scrapes);
    }
  });

  test('recordable: 1 at the start, 0 after a failure, 1 once it recovers', async () => {
    const { signals, read } = measured();
    const told = [(await read()).bridge_recordable];
    signals.emit('journal.failed', { fault });
    told.push((await read()).bridge_recordable);
    signals.emit('journal.recovered', {});
    told.push((await read()).bridge_recordable);
    expect(told).toEqual([1, 0, 1]);
  });

  test('a connector is up while it delivers; paused is another thing than down', async () => {
    let state: LaneState = { kind: 'connecting' };
    const { read } = measured({ status: () => statusOf([standing('a', { state })]) });
    const waiting = { kind: 'waiting', fault, since: NOW, retryAt: NOW } as const;
    for (const [at, up, paused] of [
      [state, 0, 0],
      [{ kind: 'running' }, 1, 0],
      [waiting, 0, 0],
      [{ kind: 'paused' }, 0, 1],
    ] as const) {
      state = at;
      const now = await read();
      expect([now['bridge_connector_up{connector="a"}'], now['bridge_connector_paused{connector="a"}']]).toEqual([
        up,
        paused,
      ]);
    }
  });

  test('none is up, nor shown as such, while the thread that delivers is started again', () => {
    const signals = createSignals();
    const health = watchLanes({ cursor: () => 0, copy: () => UNSEEN_COPY }, signals);
    signals.emit('lane.state', { connector: 'a', state: { kind: 'running' } });
    expect(health('a').state.kind).toBe('running');
    signals.emit('relay.crashed', { fault, restartInMs: 1 });
    expect(health('a').state.kind).toBe('connecting');
  });

  test('connectors may come and go: a gauge has those that are there now, a new one begins at zero', async () => {
    let connectors = ['a', 'b'];
    const running = (name: string) => standing(name, { state: { kind: 'running' } });
    const { signals, read } = measured({ status: () => statusOf(connectors.map(running)) });
    expect(await read()).toMatchObject({ 'bridge_dead_letters{connector="b"}': 0 });
    connectors = ['a', 'c'];
    signals.emit('lane.state', { connector: 'c', state: { kind: 'running' } });
    const now = await read();
    expect(Object.keys(now).filter((series) => /connector="b"/.test(series) && !/_total/.test(series))).toEqual([]);
    expect(now).toMatchObject({
      'bridge_connector_up{connector="c"}': 1,
      'bridge_delivery_lag_events{connector="c"}': 0,
      'bridge_delivered_total{connector="c"}': 0,
    });
  });

  test('a lag is told in events and in seconds; one that nobody knows has no number', async () => {
    const connectors = [standing('a', { lag: 3, lagSeconds: 2 }), standing('b', { lag: null })];
    const { read } = measured({ status: () => statusOf(connectors) });
    const now = await read();
    const lags = ['a', 'b'].map((name) =>
      ['events', 'seconds'].map((unit) => now[`bridge_delivery_lag_${unit}{connector="${name}"}`]),
    );
    expect(lags).toEqual([
      [3, 2],
      [undefined, 0],
    ]);
  });

  test('the end of the latest whole run outlasts the next one that is under way', async () => {
    let reconcile: { every: number; endedAt?: number } = { every: 3_600_000, endedAt: NOW };
    const { read } = measured({ reconcile: () => reconcile });
    await read();
    reconcile = { every: 3_600_000 };
    expect(await read()).toMatchObject({
      bridge_reconcile_last_end_timestamp_seconds: NOW / 1000,
      bridge_reconcile_interval_seconds: 3600,
    });
  });
});

describe('each way of a callback is counted', () => {
  const full = () => Promise.reject(new BridgeError({ code: 'journal-unwritable', message: 'no room' }));
  const signed = { sign: { tokens: ['xxxxyyyy'], windowMs: 1e15 } };
  const SIGN = { Sign: '17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061', RequestTime: '1669872112' };

  test.each([
    { way: 'recorded', settings: {}, callback: {}, command: COMMAND, outcome: 'recorded', fault: '' },
    {
      way: 'of another app',
      settings: {},
      callback: { search: search({ SdkAppid: '1' }) },
      command: COMMAND,
      outcome: 'refused',
      fault: 'app-mismatch',
    },
    {
      way: 'of a verified sender that does not fit',
      settings: signed,
      callback: { search: search(SIGN), body: body({ Name: 7 }) },
      command: COMMAND,
      outcome: 'quarantined',
      fault: '',
    },
    {
      way: 'another command',
      settings: {},
      callback: {
        search: search({ CallbackCommand: 'State.StateChange' }),
        body: '{"CallbackCommand":"State.StateChange"}',
      },
      command: 'State.StateChange',
      outcome: 'acknowledged',
      fault: '',
    },
    {
      way: 'an unknown one',
      settings: {},
      callback: { search: search({ CallbackCommand: 'X' }), body: '{}' },
      command: 'other',
      outcome: 'acknowledged',
      fault: '',
    },
    {
      way: 'that cannot be recorded',
      settings: {},
      callback: {},
      ports: { record: full },
      command: COMMAND,
      outcome: 'failed',
      fault: 'journal-unwritable',
    },
    {
      way: 'that meets a fault of ours',
      settings: {},
      callback: {},
      ports: { record: () => Promise.reject(new TypeError('ours')) },
      command: COMMAND,
      outcome: 'failed',
      fault: 'internal',
    },
  ])('$way', async ({ settings, callback, ports = {}, command, outcome, fault }) => {
    const receiver = await startReceiver(settings, ports);
    try {
      const registry = createMetrics(receiver.signals, clock, sources());
      const before = await samples(registry);
      await receiver.post(callback);
      const own = ['recorded', 'quarantined'].includes(outcome);
      const crash = 'record' in ports && ports.record !== full;
      expect(changes(before, await samples(registry))).toEqual({
        [`bridge_callbacks_total{command="${command}",outcome="${outcome}",fault="${fault}"}`]: 1,
        bridge_ack_seconds_count: 1,
        bridge_ack_seconds_sum: expect.any(Number),
        ...(own && { bridge_last_callback_timestamp_seconds: NOW / 1000 }),
        ...(own && { bridge_commit_seconds_count: 1, bridge_commit_seconds_sum: expect.any(Number) }),
        ...(crash && { bridge_callback_crashes_total: 1 }),
      });
    } finally {
      await receiver.close();
    }
  });

  test('an answer that is held is shown while it is', async () => {
    const held = Promise.withResolvers<void>();
    const slept = Promise.withResolvers<void>();
    const sleep = async () => {
      slept.resolve();
      await held.promise;
    };
    const receiver = await startReceiver({ whenUnrecordable: 'hold' }, { record: full, clock: { ...clock, sleep } });
    try {
      const registry = createMetrics(receiver.signals, clock, sources());
      const answer = receiver.post();
      await slept.promise;
      expect((await samples(registry)).bridge_held_answers).toBe(1);
      held.resolve();
      expect((await answer).status).toBe(503);
      expect((await samples(registry)).bridge_held_answers).toBe(0);
    } finally {
      await receiver.close();
    }
  });
});

test('a running bridge tells its version, that its journal was damaged, and which connectors deliver', async () => {
  const home = bridgeHome((folder) => ({
    'audit-file': { kind: 'file', path: join(folder, 'events.ndjson') },
    down: { kind: 'elasticsearch', nodes: ['http://127.0.0.1:1'], index: 'none' },
    resting: { kind: 'file', path: join(folder, 'other.ndjson') },
  }));
  onTestFinished(home.remove);
  writeFileSync(join(home.folder, 'journal.db'), 'not a database'.repeat(1_000));
  const bridge = await startBridgeProcess(home);
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  const headers = { 'content-type': 'application/json' };
  await fetch(`${bridge.adminUrl}/api/connectors/resting/pause`, { method: 'POST', headers, body: '{}' });
  expect(await bridge.post({ search: search(), body: body() })).toMatchObject({ status: 200 });
  await expect
    .poll(async () => parse(await (await fetch(`${bridge.adminUrl}/metrics`)).text()))
    .toMatchObject({
      [`bridge_info{version="${version}"}`]: 1,
      bridge_journal_set_aside: 1,
      bridge_recordable: 1,
      'bridge_connector_up{connector="audit-file"}': 1,
      'bridge_connector_up{connector="down"}': 0,
      'bridge_connector_paused{connector="down"}': 0,
      'bridge_connector_up{connector="resting"}': 0,
      'bridge_connector_paused{connector="resting"}': 1,
      'bridge_delivered_total{connector="audit-file"}': 1,
      'bridge_delivery_lag_events{connector="down"}': 1,
    });
  // What the list of metrics, the dashboard and the rules are held against is what is really served.
  const served = await (await fetch(`${bridge.adminUrl}/metrics`)).text();
  const names = [...served.matchAll(/^# TYPE (bridge_\w+)/gm)].map(([, name]) => name);
  const listed = createMetrics(createSignals(), clock, sources()).getMetricsAsArray();
  expect(names.sort()).toEqual(
    listed
      .map(({ name }) => name)
      .filter((name) => name.startsWith('bridge_'))
      .sort(),
  );
  expect(await bridge.end('SIGTERM')).toBe(0);
});
