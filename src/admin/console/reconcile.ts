import { html } from 'hono/html';
import type { ReconcileRun } from '../../model/reconcile-run.ts';
import { figure, span } from '../../model/text.ts';
import type { ReconcileStatus } from '../../reconcile/schedule.ts';
import { groupLink } from './events.ts';
import { button } from './forms.ts';
import { badge, type Page } from './layout.ts';
import type { ConsolePorts } from './ports.ts';
import { empty, fitting, leftOut, type Row, table } from './table.ts';
import { type Html, relative, shown } from './text.ts';

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
          return reconciler === undefined ? unconfigured() : standing(ports, reconciler.status());
        },
      },
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

function standing(ports: ConsolePorts, { running, run, nextAt }: ReconcileStatus): Html {
  const back = '/reconcile';
  return html`<div class="row acts">${
    running
      ? button('reconcile-stop', { back }, 'Stop')
      : html`${button('reconcile', { back }, run?.stopped !== undefined && run.endedAt === undefined ? 'Continue' : 'Start')}${button(
          'reconcile',
          { back, dryRun: 'yes' },
          'Dry run: only count what differs',
        )}`
  }${nextAt !== undefined && html`<p class="quiet">Next run ${relative(nextAt, 'in')}</p>`}</div>${
    run === undefined ? empty('It has not run yet.') : runOf(ports, run, running)
  }`;
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
        : counts.failed > 0
          ? badge('warn', 'Ended, some not read')
          : badge('ok', 'Ended')
  } started ${relative(startedAt, 'ago')}${endedAt !== undefined && html`, took ${span((endedAt - startedAt) / 1_000)}`}</p>
${stopped !== undefined && html`<p class="fault">${shown(stopped)}</p>`}
${running && html`<p><progress max="${Math.max(1, total)}" value="${counts.read}" aria-label="Groups read"></progress> ${figure(counts.read)} of ${figure(total)}</p>`}
<dl class="figures row">
<div><dt>Read</dt><dd><b>${figure(counts.read)}</b></dd></div>
<div><dt>In step</dt><dd><b>${figure(counts.inStep)}</b></dd></div>
<div><dt>${dryRun ? 'Differ' : 'Mended'}</dt><dd><b>${figure(counts.mended)}</b></dd></div>
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
