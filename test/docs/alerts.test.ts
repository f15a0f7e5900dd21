/** The alert rules, by Prometheus' own promtool: each fires when it must, and at nothing else. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { findPromtool } from '../servers/promtool.ts';
import { COMMAND } from '../support/callbacks.ts';

const RULES = resolve('observability/alerts.yaml');
const promtool = await findPromtool();
if ('missing' in promtool) {
  // Also with CI=true: a mirror that is down says nothing about the rules, which test/docs/observability.test.ts parses.
  process.stderr.write(`\nSKIPPED: the alert rules are parsed only, not tested: ${promtool.missing}\n\n`);
}

/** Series by name and labels, `null` for one that is not there. Values in promtool's notation, one a minute. */
type Series = Readonly<Record<string, string | null>>;

const DAY = 86_400;
/** Stands for as many as there are minutes until it is looked. */
const ON = '{on}';
const flat = (value: number): string => `${value}x${ON}`;
const rising = (aMinute: number): string => `0+${aMinute}x${ON}`;
/** `value` for some minutes from the 10th on, else `otherwise`. */
const blip = (value: number, minutes: number, otherwise: number): string =>
  `${otherwise}x9 ${value}x${minutes - 1} ${otherwise}x${ON}`;
/** 0, and 1 from that minute on. */
const onceAt = (minute: number): string => `0x${minute - 1} 1x${ON}`;

const callbacks = (outcome: string, command = COMMAND): string =>
  `bridge_callbacks_total{command="${command}",outcome="${outcome}",fault="${outcome === 'recorded' ? '' : 'sign-wrong'}"}`;
const runs = (outcome: string): string => `bridge_reconcile_runs_total{outcome="${outcome}"}`;
const ack = (le: string): string => `bridge_ack_seconds_bucket{le="${le}"}`;
const lane = (name: string): string => `${name}{connector="index"}`;

/** A bridge that is well: ten callbacks a minute; a minute counts as 60 from the beginning of time. */
const WELL: Series = {
  up: flat(1),
  process_start_time_seconds: flat(60),
  bridge_recordable: flat(1),
  [callbacks('recorded')]: rising(10),
  [callbacks('refused')]: flat(0),
  [callbacks('failed')]: flat(0),
  bridge_last_callback_timestamp_seconds: rising(60),
  bridge_ack_seconds_count: rising(10),
  [ack('0.5')]: rising(10),
  [ack('1')]: rising(10),
  [ack('2')]: rising(10),
  [ack('+Inf')]: rising(10),
  [lane('bridge_connector_up')]: flat(1),
  [lane('bridge_connector_paused')]: flat(0),
  [lane('bridge_delivery_lag_seconds')]: flat(0),
  [lane('bridge_delivery_lag_events')]: flat(0),
  [lane('bridge_dead_letters')]: flat(0),
  [lane('bridge_copy_incomplete')]: flat(0),
  [lane('bridge_copy_differing_groups')]: flat(0),
  [lane('bridge_copy_verified_timestamp_seconds')]: rising(60),
  bridge_quarantined: flat(0),
  [lane('bridge_source_gap_records_total')]: flat(0),
  bridge_clock_skew_seconds: flat(0),
  bridge_event_time_ahead_total: flat(0),
  bridge_certificate_not_after_timestamp_seconds: flat(0),
  bridge_certificate_failures_total: flat(0),
  [runs('done')]: flat(0),
  [runs('incomplete')]: flat(0),
  [runs('stopped')]: flat(0),
  [runs('withheld')]: flat(0),
  bridge_reconcile_last_end_timestamp_seconds: flat(0),
  bridge_reconcile_interval_seconds: flat(0),
  bridge_journal_bytes: flat(100),
  bridge_journal_max_bytes: flat(1_000),
  bridge_journal_set_aside: flat(0),
  bridge_callback_crashes_total: flat(0),
  bridge_relay_restarts_total: flat(0),
};

interface Case {
  readonly alert: string;
  readonly when: string;
  readonly series: Series;
  /** The time of evaluation; 30 minutes when left out. Longer stories are evaluated every 10 minutes. */
  readonly at?: string;
  /** All that fire, with the connector where they have one; by default the alert alone. */
  readonly fires?: readonly string[];
}

const paused = { [lane('bridge_connector_up')]: flat(0), [lane('bridge_connector_paused')]: flat(1) };
const certificate = (days: number): Series => ({
  bridge_certificate_not_after_timestamp_seconds: flat(30 * 60 + days * DAY),
});
const everySixHours = { bridge_reconcile_interval_seconds: flat(6 * 3600) };
const quiet = { [callbacks('recorded')]: flat(7) };

const CASES: readonly Case[] = [
  { alert: 'BridgeDown', when: 'it does not answer', series: { up: flat(0) } },
  { alert: 'BridgeDown', when: 'nothing of it is scraped', series: { up: null } },
  { alert: 'BridgeDown', when: 'one scrape failed', series: { up: blip(0, 1, 1) }, at: '11m', fires: [] },

  { alert: 'BridgeUnrecordable', when: 'the disk is full', series: { bridge_recordable: flat(0) } },
  { alert: 'BridgeUnrecordable', when: 'there is room again', series: { bridge_recordable: blip(0, 5, 1) }, fires: [] },

  { alert: 'BridgeCallbacksFailed', when: 'one failed', series: { [callbacks('failed')]: onceAt(28) } },
  { alert: 'BridgeCallbacksFailed', when: 'it was long ago', series: { [callbacks('failed')]: onceAt(9) }, fires: [] },

  {
    alert: 'BridgeCallbackSilence',
    when: 'the latest is older than 6 hours',
    series: { bridge_last_callback_timestamp_seconds: flat(600) },
    at: '6h20m',
  },
  {
    alert: 'BridgeCallbackSilence',
    when: 'it is a little younger',
    series: { bridge_last_callback_timestamp_seconds: flat(600) },
    at: '6h',
    fires: [],
  },
  {
    alert: 'BridgeCallbackSilence',
    when: 'none came since a start 6 hours ago',
    series: { bridge_last_callback_timestamp_seconds: flat(0) },
    at: '6h10m',
  },
  {
    alert: 'BridgeCallbackSilence',
    when: 'none came since a start just now',
    series: { bridge_last_callback_timestamp_seconds: flat(0), process_start_time_seconds: flat(25_000) },
    at: '7h',
    fires: [],
  },

  {
    alert: 'BridgeCallbacksRefused',
    when: 'all are refused',
    series: { ...quiet, [callbacks('refused')]: rising(3) },
  },
  { alert: 'BridgeCallbacksRefused', when: 'some are', series: { [callbacks('refused')]: rising(3) }, fires: [] },
  {
    alert: 'BridgeCallbacksRefused',
    when: 'what is refused is no callback of the service',
    series: { ...quiet, [callbacks('refused', 'none')]: rising(3) },
    fires: [],
  },

  { alert: 'BridgeAnswersSlow', when: 'one in ten takes more than 0.5 s', series: { [ack('0.5')]: rising(9) } },
  {
    alert: 'BridgeAnswersSlow',
    when: 'fewer than one in a hundred does',
    series: { [ack('0.5')]: rising(9.95) },
    fires: [],
  },

  {
    alert: 'BridgeAnswersTooLate',
    when: 'one in five minutes comes after 2 s',
    series: {
      bridge_ack_seconds_count: rising(1_000),
      ...Object.fromEntries(['0.5', '1', '2'].map((le) => [ack(le), rising(999.8)])),
      [ack('+Inf')]: rising(1_000),
    },
  },
  {
    alert: 'BridgeAnswersTooLate',
    when: 'the latest ones come between 1 and 2 s',
    series: {
      bridge_ack_seconds_count: rising(1_000),
      ...Object.fromEntries(['0.5', '1'].map((le) => [ack(le), rising(999)])),
      ...Object.fromEntries(['2', '+Inf'].map((le) => [ack(le), rising(1_000)])),
    },
    fires: [],
  },

  {
    alert: 'BridgeConnectorDown',
    when: 'the destination cannot be had',
    series: { [lane('bridge_connector_up')]: flat(0) },
    fires: ['BridgeConnectorDown index'],
  },
  { alert: 'BridgeConnectorDown', when: 'the connector is paused', series: paused, fires: [] },
  {
    alert: 'BridgeConnectorDown',
    when: 'it was for 3 minutes',
    series: { [lane('bridge_connector_up')]: blip(0, 3, 1) },
    at: '13m',
    fires: [],
  },

  {
    alert: 'BridgeConnectorPaused',
    when: 'it is for more than a day',
    series: paused,
    at: '24h10m',
    fires: ['BridgeConnectorPaused index'],
  },
  { alert: 'BridgeConnectorPaused', when: 'it is for less', series: paused, at: '23h', fires: [] },

  {
    alert: 'BridgeLagSeconds',
    when: 'it is 301 s behind',
    series: { [lane('bridge_delivery_lag_seconds')]: flat(301) },
    fires: ['BridgeLagSeconds index'],
  },
  {
    alert: 'BridgeLagSeconds',
    when: 'it is 300 s behind',
    series: { [lane('bridge_delivery_lag_seconds')]: flat(300) },
    fires: [],
  },
  {
    alert: 'BridgeLagSeconds',
    when: 'a person has paused it',
    series: { ...paused, [lane('bridge_delivery_lag_seconds')]: flat(3_000) },
    fires: [],
  },

  {
    alert: 'BridgeLagEvents',
    when: 'there is a backlog',
    series: { [lane('bridge_delivery_lag_events')]: flat(10_001) },
    fires: ['BridgeLagEvents index'],
  },
  {
    alert: 'BridgeLagEvents',
    when: 'there was a burst',
    series: { [lane('bridge_delivery_lag_events')]: blip(50_000, 3, 0) },
    at: '13m',
    fires: [],
  },

  {
    alert: 'BridgeDeadLetters',
    when: 'there is one',
    series: { [lane('bridge_dead_letters')]: flat(1) },
    fires: ['BridgeDeadLetters index'],
  },
  {
    alert: 'BridgeDeadLetters',
    when: 'they were retried',
    series: { [lane('bridge_dead_letters')]: blip(3, 5, 0) },
    fires: [],
  },

  { alert: 'BridgeQuarantine', when: 'a callback is kept', series: { bridge_quarantined: flat(1) } },
  { alert: 'BridgeQuarantine', when: 'it was mapped', series: { bridge_quarantined: blip(1, 5, 0) }, fires: [] },

  {
    alert: 'BridgeCopyIncomplete',
    when: 'it is for 6 minutes',
    series: { [lane('bridge_copy_incomplete')]: flat(1) },
    fires: ['BridgeCopyIncomplete index'],
  },
  {
    alert: 'BridgeCopyIncomplete',
    when: 'it was whole again after 4 minutes',
    series: { [lane('bridge_copy_incomplete')]: blip(1, 4, 0) },
    at: '14m',
    fires: [],
  },
  {
    alert: 'BridgeCopyDiffers',
    when: 'a group is not mended',
    series: { [lane('bridge_copy_differing_groups')]: flat(1) },
    fires: ['BridgeCopyDiffers index'],
  },
  {
    alert: 'BridgeCopyDiffers',
    when: 'it was, for a while',
    series: { [lane('bridge_copy_differing_groups')]: blip(1, 10, 0) },
    fires: [],
  },
  {
    alert: 'BridgeCopyUnverified',
    when: 'the latest comparison ended more than 6 hours ago',
    series: { [lane('bridge_copy_verified_timestamp_seconds')]: flat(60) },
    at: '6h10m',
    fires: ['BridgeCopyUnverified index'],
  },
  {
    alert: 'BridgeCopyUnverified',
    when: 'copies are not compared',
    series: { [lane('bridge_copy_verified_timestamp_seconds')]: flat(0) },
    at: '7h',
    fires: [],
  },

  {
    alert: 'BridgeSourceGap',
    when: 'three records are gone',
    series: { [lane('bridge_source_gap_records_total')]: onceAt(28) },
    fires: ['BridgeSourceGap index'],
  },
  {
    alert: 'BridgeSourceGap',
    when: 'it was long ago',
    series: { [lane('bridge_source_gap_records_total')]: onceAt(1) },
    at: '70m',
    fires: [],
  },
  { alert: 'BridgeClockDisagrees', when: 'it is an hour slow', series: { bridge_clock_skew_seconds: flat(3600) } },
  { alert: 'BridgeClockDisagrees', when: 'it is two hours fast', series: { bridge_clock_skew_seconds: flat(-7200) } },
  { alert: 'BridgeClockDisagrees', when: 'it was', series: { bridge_clock_skew_seconds: blip(3600, 5, 0) }, fires: [] },
  { alert: 'BridgeEventTimeUntrue', when: 'one is', series: { bridge_event_time_ahead_total: onceAt(28) } },
  {
    alert: 'BridgeEventTimeUntrue',
    when: 'it was long ago',
    series: { bridge_event_time_ahead_total: onceAt(9) },
    fires: [],
  },

  { alert: 'BridgeCertificateExpires', when: 'it does in 13 days', series: certificate(13) },
  { alert: 'BridgeCertificateExpires', when: 'it does in 15 days', series: certificate(15), fires: [] },
  {
    alert: 'BridgeCertificateExpiresSoon',
    when: 'it does in a day',
    series: certificate(1),
    fires: ['BridgeCertificateExpires', 'BridgeCertificateExpiresSoon'],
  },
  {
    alert: 'BridgeCertificateExpiresSoon',
    when: 'it has',
    series: certificate(-0.01),
    fires: ['BridgeCertificateExpires', 'BridgeCertificateExpiresSoon'],
  },
  {
    alert: 'BridgeCertificateExpiresSoon',
    when: 'it does in 3 days',
    series: certificate(3),
    fires: ['BridgeCertificateExpires'],
  },

  {
    alert: 'BridgeCertificateUnusable',
    when: 'a renewed one does not fit',
    series: { bridge_certificate_failures_total: onceAt(20) },
  },
  {
    alert: 'BridgeCertificateUnusable',
    when: 'that was long ago',
    series: { bridge_certificate_failures_total: onceAt(20) },
    at: '2h',
    fires: [],
  },

  { alert: 'BridgeReconcileFailed', when: 'a run was stopped', series: { [runs('stopped')]: onceAt(20) } },
  { alert: 'BridgeReconcileFailed', when: 'groups were not read', series: { [runs('incomplete')]: onceAt(20) } },
  { alert: 'BridgeReconcileWithheld', when: 'too many are gone', series: { [runs('withheld')]: onceAt(20) } },
  { alert: 'BridgeReconcileWithheld', when: 'all is read', series: { [runs('done')]: onceAt(20) }, fires: [] },
  { alert: 'BridgeReconcileFailed', when: 'all is read', series: { [runs('done')]: onceAt(20) }, fires: [] },

  {
    alert: 'BridgeReconcileStale',
    when: 'two runs are missing',
    series: { ...everySixHours, bridge_reconcile_last_end_timestamp_seconds: flat(600) },
    at: '13h20m',
  },
  {
    alert: 'BridgeReconcileStale',
    when: 'none ended since the start',
    series: everySixHours,
    at: '13h10m',
  },
  {
    alert: 'BridgeReconcileStale',
    when: 'the next one is a little late',
    series: { ...everySixHours, bridge_reconcile_last_end_timestamp_seconds: flat(600) },
    at: '12h',
    fires: [],
  },
  {
    alert: 'BridgeReconcileStale',
    when: 'it is run by hand only',
    series: { bridge_reconcile_last_end_timestamp_seconds: flat(600) },
    at: '20h',
    fires: [],
  },

  { alert: 'BridgeJournalFilling', when: 'it is 95 % full', series: { bridge_journal_bytes: flat(950) } },
  { alert: 'BridgeJournalFilling', when: 'pruning keeps it', series: { bridge_journal_bytes: flat(850) }, fires: [] },

  { alert: 'BridgeJournalSetAside', when: 'it was damaged', series: { bridge_journal_set_aside: flat(1) } },
  {
    alert: 'BridgeJournalSetAside',
    when: 'the next start found a sound one',
    series: { bridge_journal_set_aside: blip(1, 5, 0) },
    fires: [],
  },

  { alert: 'BridgeFault', when: 'the relay ended', series: { bridge_relay_restarts_total: onceAt(25) } },
  { alert: 'BridgeFault', when: 'a callback met one', series: { bridge_callback_crashes_total: onceAt(25) } },
  {
    alert: 'BridgeFault',
    when: 'that was long ago',
    series: { bridge_relay_restarts_total: onceAt(9) },
    fires: [],
  },
];

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly { readonly alert: string; readonly annotations: Readonly<Record<string, string>> }[];
  }[];
}
const rules = (parse(readFileSync(RULES, 'utf8')) as Rules).groups.flatMap((group) => group.rules);

describe.each(rules)('$alert', ({ alert, annotations }) => {
  test('is shown firing and not firing, and says what to do', () => {
    const fires = CASES.filter((one) => one.alert === alert).map(
      ({ fires }) => fires === undefined || fires.some((name) => name.split(' ')[0] === alert),
    );
    expect(new Set(fires)).toEqual(new Set([true, false]));
    expect(annotations.summary).toMatch(/\.$/);
    expect(annotations.description?.length).toBeGreaterThan(60);
  });
});

describe.skipIf('missing' in promtool)('by promtool', () => {
  const ask = (...args: string[]) =>
    new Promise<{ failed: boolean; output: string }>((done) => {
      execFile('path' in promtool ? promtool.path : '', args, (error, stdout, stderr) =>
        done({ failed: error !== null, output: `${stdout}${stderr}` }),
      );
    });

  test('the rules are well-formed', async () => {
    const { failed, output } = await ask('check', 'rules', RULES);
    expect(output).toContain(`SUCCESS: ${rules.length} rules found`);
    expect(failed).toBe(false);
  });

  test('each alert fires when it must, and at nothing else', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'alerts-'));
    try {
      const healthy: Case = { alert: 'none', when: 'all is well', series: {}, at: '25h', fires: [] };
      const [short, long] = [/^\d+m$/, /h/].map((at) => [...CASES, healthy].filter((one) => at.test(one.at ?? '30m')));
      const file = (evaluation_interval: string, cases: readonly Case[] = []): string => {
        const path = join(folder, `${evaluation_interval}.json`);
        // JSON is YAML.
        const tests = cases.map(toPromtool);
        writeFileSync(path, JSON.stringify({ rule_files: [RULES], evaluation_interval, tests }));
        return path;
      };
      const { failed, output } = await ask('test', 'rules', file('1m', short), file('10m', long));
      expect(failed, output).toBe(false);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** Asks for all alerts that fire, so that each case is one of "not firing" for all others. */
function toPromtool({ alert, when, series, at = '30m', fires = [alert] }: Case): unknown {
  const all = Object.entries({ ...WELL, ...series }).filter((entry): entry is [string, string] => entry[1] !== null);
  const [, hours = '0', minutes = '0'] = /^(?:(\d+)h)?(?:(\d+)m)?$/.exec(at) ?? [];
  const on = String(Number(hours) * 60 + Number(minutes));
  const where = '{job="group-sync-bridge",instance="bridge:8081"';
  return {
    name: `${alert}: ${when}`,
    interval: '1m',
    input_series: all.map(([name, values]) => ({
      series: name.includes('{') ? name.replace('{', `${where},`) : `${name}${where}}`,
      values: values.replace(ON, on),
    })),
    promql_expr_test: [
      {
        expr: 'max by (alertname, connector) (ALERTS{alertstate="firing"})',
        eval_time: at,
        exp_samples: fires.map((name) => {
          const [alertname, connector] = name.split(' ');
          const labels = { alertname, ...(connector !== undefined && { connector }) };
          const text = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
          return { labels: `{${text.join()}}`, value: 1 };
        }),
      },
    ],
  };
}
