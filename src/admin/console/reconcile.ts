import { html } from 'hono/html';
import type { ReconcileFinding, ReconcileRun } from '../../model/reconcile-run.ts';
import { figure } from '../../model/text.ts';
import type { Reconciler } from '../../reconcile/schedule.ts';
import { groupLink } from './events.ts';
import { ask, button, form } from './forms.ts';
import { badge, lead, type Page } from './layout.ts';
import type { View } from './ports.ts';
import { empty, fitting, leftOut, type Row, table } from './table.ts';
import { type Html, relative, shown, value } from './text.ts';
import type { Texts } from './texts/index.ts';

/** The command shows all of them. */
const SHOWN_FINDINGS = 100;

/** `/reconcile`: the current run, or the last one. */
export function reconcilePage(ports: View): Page {
  const { t } = ports;
  return {
    title: t.sections.reconcile,
    section: 'reconcile',
    parts: [
      lead(t.sections.reconcile, t.reconcile.lead),
      {
        id: 'run',
        render() {
          const reconciler = ports.reconcile.reconciler();
          return reconciler === undefined ? unconfigured(t) : standing(ports, reconciler);
        },
      },
      { id: 'findings', render: () => findingsOf(t, ports.reconcile.reconciler()) },
    ],
  };
}

function unconfigured(t: Texts): Html {
  return html`${empty(t.overview.reconcileOff)}<p>${t.reconcile.add}</p>
<pre tabindex="0">reconcile:
  api:
    secretKey: $${'{'}TENCENT_SECRET_KEY}
  every: 6h</pre>`;
}

function standing(ports: View, reconciler: Reconciler): Html {
  const { t } = ports;
  const { running, run, nextAt } = reconciler.status();
  const back = '/reconcile';
  const words = run?.stopped !== undefined && run.endedAt === undefined ? t.reconcile.continue : t.reconcile.start;
  const confirm = form('reconcile', { back }, html`<button type="submit">${t.reconcile.confirm}</button>`);
  return html`<div class="row acts">${
    running
      ? button('reconcile-stop', { back }, t.reconcile.stop)
      : html`${button('reconcile', { back, dryRun: 'yes' }, t.reconcile.dryRun)}${ask(
          'reconcile-start',
          words,
          undefined,
          html`${foretold(t, reconciler.lastDryRun())}${confirm}`,
        )}`
  }${nextAt !== undefined && html`<p class="quiet">${t.reconcile.next(relative(t, nextAt, 'in'))}</p>`}</div>${
    run === undefined ? empty(t.reconcile.neverRan) : runOf(ports, run, running)
  }`;
}

/** Tells what a run would do, judging by the latest dry run. */
function foretold(t: Texts, run: ReconcileRun | undefined): Html {
  if (run === undefined) {
    return html`<p>${t.reconcile.noDryRun}</p>`;
  }
  const { counts, endedAt, stopped } = run;
  const { mended, destroyed, withheld, known } = counts;
  return html`<p>${t.reconcile.foretold(relative(t, endedAt ?? run.startedAt, 'ago'), stopped !== undefined, mended, destroyed, known)}</p>${
    withheld > 0 && html`<p class="fault">${t.reconcile.held(withheld, known, t.reconcile.willFail)}</p>`
  }`;
}

/** Lists the first groups that the latest dry run found, if that is the latest run. */
async function findingsOf(t: Texts, reconciler: Reconciler | undefined): Promise<Html> {
  const run = reconciler?.lastDryRun();
  if (reconciler === undefined || run === undefined || reconciler.status().run !== run) return html``;
  const { findings } = await reconciler.findings(0, SHOWN_FINDINGS);
  if (findings.length === 0) return empty(t.reconcile.nothingDiffers);
  const rows = fitting(findings, findingRow(t, run.counts.withheld > 0));
  const total = run.counts.mended + run.counts.destroyed + run.counts.withheld;
  return html`<section aria-labelledby="findings-head"><h2 id="findings-head">${t.reconcile.findings}</h2>${table(
    t.reconcile.findings,
    [
      { head: t.event.group, kind: 'name' },
      { head: t.reconcile.would },
      { head: t.reconcile.beforeAfter, kind: 'wide' },
    ],
    rows,
  )}${total > rows.length && html`<p class="quiet">${t.reconcile.firstOf(rows.length, total)}</p>`}</section>`;
}

const findingRow =
  (t: Texts, isWithheld: boolean) =>
  ({ groupId, name, would, fields }: ReconcileFinding, index: number): Row => {
    const id = `finding-${index}`;
    const text = (found: string | undefined, which: string): Html => value(t, found, { id: `${id}-${which}` });
    return {
      id,
      cells: [
        groupLink(groupId, name),
        would === 'mend'
          ? t.reconcile.mended(false)
          : isWithheld
            ? badge('warn', t.reconcile.gone)
            : badge('bad', t.reconcile.destroyed(false)),
        would === 'destroy'
          ? ''
          : html`<dl class="changes">${fields.map(
              ({ field, before, after }, at) =>
                html`<div><dt>${shown(field)}</dt><dd>${text(before, `b${at}`)} <span class="quiet">→</span> ${text(after, `a${at}`)}</dd></div>`,
            )}</dl>`,
      ],
    };
  };

function runOf(ports: View, run: ReconcileRun, running: boolean): Html {
  const { t } = ports;
  const { counts, total, startedAt, endedAt, stopped, dryRun, failures } = run;
  const fields = Object.entries(counts.fields).sort(([, a], [, b]) => b - a);
  const differed = fitting(
    fields,
    ([field, count], index): Row => ({
      id: `differed-${index}`,
      cells: [field === 'new' ? t.reconcile.newField : shown(field), figure(count)],
    }),
  );
  const failed = fitting(
    failures,
    ({ groupId, message }, index): Row => ({
      id: `failure-${index}`,
      cells: [groupLink(groupId, ports.journal.groups.nameOf(groupId)), shown(message)],
    }),
  );
  return html`<section aria-labelledby="run-head"><h2 id="run-head">${t.reconcile[running ? 'current' : 'last'](dryRun)}</h2>
<p>${
    running
      ? badge('busy', t.reconcile.states.running)
      : stopped !== undefined
        ? badge('warn', t.reconcile.states.stopped)
        : counts.withheld > 0 && !dryRun
          ? badge('bad', t.reconcile.states.gone)
          : counts.failed > 0
            ? badge('warn', t.reconcile.states.unread)
            : badge('ok', t.reconcile.states.ended)
  } ${t.reconcile.started(relative(t, startedAt, 'ago'))}${endedAt !== undefined && t.reconcile.took((endedAt - startedAt) / 1_000)}</p>
${stopped !== undefined && html`<p class="fault">${shown(stopped)}</p>`}
${
  counts.withheld > 0 &&
  html`<p class="fault">${t.reconcile.held(counts.withheld, counts.known, dryRun ? t.reconcile.willFail : t.reconcile.noneDestroyed)}</p>`
}
${running && html`<p><progress max="${Math.max(1, total)}" value="${counts.read}" aria-label="${t.reconcile.read}"></progress> ${t.reconcile.progress(counts.read, total)}</p>`}
<dl class="figures row">
<div><dt>${t.reconcile.read}</dt><dd><b>${figure(counts.read)}</b></dd></div>
<div><dt>${t.standings['in-step']}</dt><dd><b>${figure(counts.inStep)}</b></dd></div>
<div><dt>${t.reconcile.mended(dryRun)}</dt><dd><b>${figure(counts.mended)}</b></dd></div>
<div><dt>${t.reconcile.destroyed(dryRun)}</dt><dd><b class="${counts.destroyed > 0 ? 'bad' : ''}">${figure(counts.destroyed)}</b>${(stopped === undefined || counts.destroyed > 0) && html` <span class="quiet">${t.reconcile.ofKnown(counts.known)}</span>`}</dd></div>
<div><dt>${t.reconcile.gone}</dt><dd><b>${figure(counts.gone)}</b></dd></div>
<div><dt>${t.reconcile.failed}</dt><dd><b class="${counts.failed > 0 ? 'bad' : ''}">${figure(counts.failed)}</b></dd></div>
</dl>
${
  fields.length > 0 &&
  table(t.reconcile.differed, [{ head: t.events.field }, { head: t.sections.groups, kind: 'figure' }], differed)
}${leftOut(t, fields.length - differed.length, t.reconcile.seeApi)}
${
  failures.length > 0 &&
  table(t.reconcile.notRead(failed.length), [{ head: t.event.group }, { head: t.reconcile.why, kind: 'wide' }], failed)
}</section>`;
}
