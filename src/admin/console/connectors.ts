import { html } from 'hono/html';
import type { Fault, FaultCode } from '../../model/fault.ts';
import { figure, rate } from '../../model/text.ts';
import type { Trouble } from '../../model/verdict.ts';
import type { ConnectorState } from '../contract.ts';
import { ask, button, form } from './forms.ts';
import { badge, TONES, verdictOf } from './layout.ts';
import type { View } from './ports.ts';
import { code, type Html, href, relative, shown, stamp, value } from './text.ts';
import type { Texts } from './texts/index.ts';

export async function connectorList(ports: View): Promise<Html> {
  const { deliveredPerSecond } = await ports.stats.current();
  const { troubles } = verdictOf(ports).copies;
  return html`<section aria-labelledby="connectors-head"><h2 id="connectors-head">${ports.t.connectors.title}</h2><div class="panel list">${ports
    .status()
    .connectors.map((connector) =>
      connectorCard(ports, connector, troubles, deliveredPerSecond(connector.name)),
    )}</div></section>`;
}

function connectorCard(ports: View, connector: ConnectorState, troubles: readonly Trouble[], perSecond: number): Html {
  const { t } = ports;
  const { name, kind, state, lag, deadLetters } = connector;
  const since = lag > 0 ? ports.delivery.openSince(name) : undefined;
  const toggle = state.kind === 'paused' ? 'resume' : 'pause';
  return html`<article class="connector row" id="connector-${name}" aria-labelledby="connector-${name}-name">
<div><h3 id="connector-${name}-name">${name}</h3><p class="quiet small">${t.connectors.kind[ports.delivery.destination(name).holdsGroups ? 'groups' : 'events'](kind)}</p></div>
<div class="row">${badges(t, name, troubles)}</div>
<dl class="figures">
<div><dt>${t.connectors.behind}</dt><dd><b>${figure(lag)}</b> <span class="quiet">${t.overview.events(lag)}${
    since !== undefined && t.text.and(relative(t, since, 'for'))
  }</span></dd></div>
<div><dt>${t.connectors.delivered}</dt><dd><b>${rate(perSecond)}</b> <span class="quiet">${t.overview.perSecond}</span></dd></div>
<div><dt>${t.sections['dead-letters']}</dt><dd>${
    deadLetters === 0
      ? html`<b>0</b>`
      : html`<a class="alert" href="${href('/dead-letters', { connector: name })}">${t.connectors.toReview(deadLetters)}</a>`
  }</dd></div>
</dl>
<div class="acts row">${button(toggle, { connector: name, back: '/' }, t.connectors[toggle], name)}
${ask(`replay-${name}`, t.connectors.replay, name, replayForm(ports, name))}</div>
${trouble(ports, connector)}${copyLines(t, connector)}${resync(t, connector)}</article>`;
}

function trouble({ t, status, lastFault }: View, { name, state }: ConnectorState): Html | '' {
  if (state.kind === 'waiting') {
    // Events are only safe while they can be recorded.
    const safe = status().ready && html` ${t.connectors.safe}`;
    return html`<div class="trouble callout bad">${faultLines(t, state.fault, `down-${name}`)}
<p class="quiet">${t.connectors.unreachable(relative(t, state.since, 'for'), relative(t, state.retryAt, 'in'))}${safe}</p></div>`;
  }
  const last = lastFault(name);
  if (last === undefined) return '';
  return html`<details class="trouble" id="fault-${name}"><summary class="quiet">${t.connectors.lastError(
    relative(t, last.at, 'ago'),
    t.connectors.scopes[last.scope],
  )}</summary>${faultLines(t, last.fault, `fault-${name}`)}</details>`;
}

function copyLines(t: Texts, { copy, verifyEvery }: ConnectorState): Html | '' {
  if (copy === undefined) return '';
  const { incomplete, lacking, differing, verifiedAt } = copy;
  const { troubles, verified: at } = t.connectors;
  const verified = verifiedAt === undefined ? troubles.unverified : at(relative(t, verifiedAt, 'ago'));
  return html`${incomplete && html`<p class="trouble callout bad">${t.connectors.incomplete(relative(t, incomplete.since, 'for'), shown(incomplete.reason))}</p>`}${
    lacking && html`<p class="trouble quiet">${t.connectors.lacking(lacking.events, stamp(t, lacking.before))}</p>`
  }<p class="trouble quiet">${verifyEvery === undefined ? t.connectors.notCompared : verified}${
    differing > 0 && t.connectors.differing(differing)
  }</p>`;
}

function resync(t: Texts, { restore }: ConnectorState): Html | '' {
  if (restore === undefined) return '';
  const { ended, total, done, mended, failed } = restore;
  const most = Math.max(1, total);
  return html`<p class="trouble">${t.connectors[ended ? 'resynced' : 'resyncing']}: <progress max="${most}" value="${
    ended ? most : done
  }" aria-label="${t.connectors.resynced}"></progress> ${t.connectors.progress(done, total, mended)}${
    failed > 0 && t.connectors.failed(failed)
  }</p>`;
}

/** Returns a badge for each trouble that the verdict names for a connector. */
export function badges(t: Texts, name: string, troubles: readonly Trouble[]): Html | Html[] {
  const own = troubles.filter(({ connector }) => connector === name);
  if (own.length === 0) return badge('ok', t.standings['in-step']);
  return own.map(({ kind, tone }) => badge(TONES[tone], t.connectors.troubles[kind]));
}

const SETTING = /^(app|receiver|journal|admin|connectors|reconcile)\b/;

/** Explains a fault: what its code means, then its message, suggestion and path. `id` must be unique on the page. */
export function faultLines(t: Texts, { message, path, suggestion, code: name }: Fault, id: string): Html {
  return html`${meaning(t, name)}<div class="fault" lang="en">${value(t, message, { id: `${id}-message`, most: 240 })} ${small(name)}${
    suggestion !== undefined && html`<p><span class="quiet" aria-hidden="true">→</span> ${shown(suggestion)}</p>`
  }${path !== undefined && html`<p class="quiet" lang="${t.lang}">${SETTING.test(path) ? t.fault.setting : t.events.field} ${small(path)}</p>`}</div>`;
}

export function meaning(t: Texts, code: FaultCode): Html | undefined {
  const means = t.fault.means[code];
  return means === undefined ? undefined : html`<p><b>${means}</b></p>`;
}

const small = (text: string): Html => html`<span class="quiet">${code(text)}</span>`;

function replayForm(ports: View, name: string): Html {
  const { t } = ports;
  const { head } = ports.status().journal;
  const choice = (from: string, words: string, field: Html | '' = ''): Html => {
    const id = `replay-${name}-${from}`;
    return html`<p class="choice row"><label for="${id}"><input type="radio" name="from" value="${from}" id="${id}" required> ${words}</label> ${field}</p>`;
  };
  return form(
    'replay',
    { connector: name, back: '/' },
    html`<fieldset class="stack"><legend><b>${t.connectors.replayFrom(name)}</b></legend>
${choice('beginning', t.connectors.fromBeginning)}
${choice('seq', t.connectors.fromSeq, html`<input type="number" name="seq" min="1" max="${Math.max(1, head)}" aria-label="${t.events.seq}" inputmode="numeric" placeholder="${head}">`)}
${choice('time', t.connectors.fromTime, html`<input type="datetime-local" name="time" step="1" aria-label="${t.connectors.fromTime}">`)}
${ports.delivery.destination(name).holdsGroups ? choice('groups', t.connectors.fromGroups) : ''}
</fieldset>
<p class="quiet">${t.connectors.replaySafe}</p>
<button type="submit" class="strong">${t.connectors.replayNow}</button>`,
  );
}
