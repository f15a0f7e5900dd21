import { html } from 'hono/html';
import type { ReconcileFinding, ReconcileRun } from '../../model/reconcile-run.ts';
import { figure, plural, span } from '../../model/text.ts';
import type { Reconciler } from '../../reconcile/schedule.ts';
import { groupLink } from './events.ts';
import { ask, button, form } from './forms.ts';
import { badge, type Page } from './layout.ts';
import type { ConsolePorts } from './ports.ts';
import { empty, fitting, leftOut, type Row, table } from './table.ts';
import { code, type Html, relative, shown, value } from './text.ts';

/** The CLI has all of them. */
const SHOWN_FINDINGS = 100;

/** `/reconcile`: the run that goes on, or the last one. */
export function reconcilePage(ports: ConsolePorts): Page {
  return {
    title: 'Reconcile',
    section: 'reconcile',
    parts: [
      {
        render: () => html`<h1>Reconcile</h1>
<p class="lead quiet">Reads the groups again by the service’s REST API and records what differs: changes that webhooks missed are mended.</p>`,
      },
      {
        id: 'run',
        render() {
          const reconciler = ports.reconciler();
          return reconciler === undefined ? unconfigured() : standing(ports, reconciler);
        },
      },
      { id: 'findings', render: () => findingsOf(ports.reconciler()) },
    ],
  };
}

function unconfigured(): Html {
  return html`${empty('It is not configured.')}<p>Add to the configuration, with the app’s key from the vendor’s console:</p>
<pre tabindex="0">reconcile:
  api:
    secretKey: $${'{'}TENCENT_SECRET_KEY}
  every: 6h</pre>`;
}

function standing(ports: ConsolePorts, reconciler: Reconciler): Html {
  const { running, run, nextAt } = reconciler.status();
  const back = '/reconcile';
  const words = run?.stopped !== undefined && run.endedAt === undefined ? 'Continue' : 'Start';
  const confirm = form('reconcile', { back }, html`<button type="submit">Read, and mend what differs</button>`);
  return html`<div class="row acts">${
    running
      ? button('reconcile-stop', { back }, 'Stop')
      : html`${button('reconcile', { back, dryRun: 'yes' }, 'Dry run: only say what differs')}${ask(
          'reconcile-start',
          words,
          undefined,
          html`${foretold(reconciler.lastDryRun())}${confirm}`,
        )}`
  }${nextAt !== undefined && html`<p class="quiet">Next run ${relative(nextAt, 'in')}</p>`}</div>${
    run === undefined ? empty('It has not run yet.') : runOf(ports, run, running)
  }`;
}

/** What a run will do, as far as the last dry run can tell. */
function foretold(run: ReconcileRun | undefined): Html {
  if (run === undefined) {
    return html`<p>There was no dry run since the last run or the start of the bridge: nobody knows how many groups will be mended, and how many destroyed. A dry run tells.</p>`;
  }
  const { counts, endedAt, stopped } = run;
  const { mended, destroyed, withheld, known } = counts;
  return html`<p>By the dry run of ${relative(endedAt ?? run.startedAt, 'ago')}${stopped !== undefined && ', which did not come to its end'}: ${plural(mended, 'group')} will be mended, and <b class="${destroyed > 0 ? 'bad' : ''}">${figure(destroyed)} of ${figure(known)} known</b> destroyed in every copy.</p>${
    withheld > 0 &&
    html`<p class="fault">${held(withheld, known, 'The run will destroy none of them and end as failed')}</p>`
  }`;
}

function held(withheld: number, known: number, what: string): Html {
  return html`The service no longer has ${figure(withheld)} of ${figure(known)} groups known, more than ${code('reconcile.maxGone')}. ${what}: see that app.sdkAppId and the region are right. ${code('reconcile --allow-gone')} destroys them.`;
}

/** The first groups that the latest dry run found, if that is the latest run. */
async function findingsOf(reconciler: Reconciler | undefined): Promise<Html> {
  const run = reconciler?.lastDryRun();
  if (reconciler === undefined || run === undefined || reconciler.status().run !== run) return html``;
  const { findings } = await reconciler.findings(0, SHOWN_FINDINGS);
  if (findings.length === 0) return empty('Nothing differs.');
  const rows = fitting(findings, findingRow);
  const total = run.counts.mended + run.counts.destroyed + run.counts.withheld;
  return html`<section aria-labelledby="findings-head"><h2 id="findings-head">What a run would change</h2>${table(
    'What a run would change, group by group',
    [{ head: 'Group', kind: 'name' }, { head: 'It would be' }, { head: 'Before → after', kind: 'wide' }],
    rows,
  )}${
    total > rows.length &&
    html`<p class="quiet">The first ${figure(rows.length)} of ${figure(total)}: ${code('reconcile --dry-run --json')} has all of them.</p>`
  }</section>`;
}

function findingRow({ groupId, name, would, fields }: ReconcileFinding, index: number): Row {
  const id = `finding-${index}`;
  const text = (found: string | undefined, which: string): Html =>
    found === undefined ? html`<span class="quiet">nothing known</span>` : value(found, { id: `${id}-${which}` });
  return {
    id,
    cells: [
      groupLink(groupId, name),
      would === 'destroy' ? badge('bad', 'destroyed') : 'mended',
      would === 'destroy'
        ? ''
        : html`<dl class="changes">${fields.map(
            ({ field, before, after }, at) =>
              html`<div><dt>${shown(field)}</dt><dd>${text(before, `b${at}`)} <span class="quiet">→</span> ${text(after, `a${at}`)}</dd></div>`,
          )}</dl>`,
    ],
  };
}

function runOf(ports: ConsolePorts, run: ReconcileRun, running: boolean): Html {
  const { counts, total, startedAt, endedAt, stopped, dryRun, failures } = run;
  const fields = Object.entries(counts.fields).sort(([, a], [, b]) => b - a);
  const differed = fitting(
    fields,
    ([field, count], index): Row => ({
      id: `differed-${index}`,
      cells: [field === 'new' ? 'new: not known before' : shown(field), figure(count)],
    }),
  );
  const failed = fitting(
    failures,
    ({ groupId, message }, index): Row => ({
      id: `failure-${index}`,
      cells: [groupLink(groupId, ports.groupName(groupId)), shown(message)],
    }),
  );
  return html`<section aria-labelledby="run-head"><h2 id="run-head">${running ? 'The current run' : 'The last run'}${dryRun && ', a dry run'}</h2>
<p>${
    running
      ? badge('busy', 'Running')
      : stopped !== undefined
        ? badge('warn', 'Stopped')
        : counts.withheld > 0 && !dryRun
          ? badge('bad', 'Ended, too many gone')
          : counts.failed > 0
            ? badge('warn', 'Ended, some not read')
            : badge('ok', 'Ended')
  } started ${relative(startedAt, 'ago')}${endedAt !== undefined && html`, took ${span((endedAt - startedAt) / 1_000)}`}</p>
${stopped !== undefined && html`<p class="fault">${shown(stopped)}</p>`}
${
  counts.withheld > 0 &&
  html`<p class="fault">${held(counts.withheld, counts.known, dryRun ? 'A run would stop there and destroy none of them' : 'None of them was destroyed')}</p>`
}
${running && html`<p><progress max="${Math.max(1, total)}" value="${counts.read}" aria-label="Groups read"></progress> ${figure(counts.read)} of ${figure(total)}</p>`}
<dl class="figures row">
<div><dt>Read</dt><dd><b>${figure(counts.read)}</b></dd></div>
<div><dt>In step</dt><dd><b>${figure(counts.inStep)}</b></dd></div>
<div><dt>${dryRun ? 'Differ' : 'Mended'}</dt><dd><b>${figure(counts.mended)}</b></dd></div>
<div><dt>${dryRun ? 'To be destroyed' : 'Destroyed'}</dt><dd><b class="${counts.destroyed > 0 ? 'bad' : ''}">${figure(counts.destroyed)}</b> <span class="quiet">of ${figure(counts.known)} known</span></dd></div>
<div><dt>Gone</dt><dd><b>${figure(counts.gone)}</b></dd></div>
<div><dt>Failed</dt><dd><b class="${counts.failed > 0 ? 'bad' : ''}">${figure(counts.failed)}</b></dd></div>
</dl>
${
  fields.length > 0 &&
  table('What differed, by field', [{ head: 'Field' }, { head: 'Groups', kind: 'figure' }], differed)
}${leftOut(fields.length - differed.length, 'see /api/reconcile')}
${
  failures.length > 0 &&
  table(`Not read: the first ${failed.length}`, [{ head: 'Group' }, { head: 'Why', kind: 'wide' }], failed)
}</section>`;
}
