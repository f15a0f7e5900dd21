import { html } from 'hono/html';
import type { Fault } from '../../model/fault.ts';
import { figure, plural, rate } from '../../model/text.ts';
import { BEHIND_SECONDS } from '../../model/verdict.ts';
import type { LastFault } from '../../telemetry/last-fault.ts';
import type { ConnectorState } from '../contract.ts';
import { ask, button, form } from './forms.ts';
import { badge, type Tone } from './layout.ts';
import type { ConsolePorts } from './ports.ts';
import { code, type Html, href, relative, shown, stamp, value } from './text.ts';

/** Shows all connectors: their state, their progress, and what can be done with them. */
export async function connectorList(ports: ConsolePorts): Promise<Html> {
  const { deliveredPerSecond } = await ports.stats.current();
  return html`<section aria-labelledby="connectors-head"><h2 id="connectors-head">Connectors</h2><div class="panel list">${ports
    .status()
    .connectors.map((connector) =>
      connectorCard(ports, connector, deliveredPerSecond(connector.name)),
    )}</div></section>`;
}

function connectorCard(ports: ConsolePorts, connector: ConnectorState, perSecond: number): Html {
  const { name, kind, state, lag, deadLetters } = connector;
  const since = lag > 0 ? ports.behindSince(name) : undefined;
  const toggle = state.kind === 'paused' ? 'resume' : 'pause';
  return html`<article class="connector row" id="connector-${name}" aria-labelledby="connector-${name}-name">
<div><h3 id="connector-${name}-name">${name}</h3><p class="quiet small">${kind}, ${ports.holdsGroups(name) ? 'groups' : 'events'}</p></div>
<div>${stateBadge(connector)}</div>
<dl class="figures">
<div><dt>Behind</dt><dd><b>${figure(lag)}</b> <span class="quiet">${lag === 1 ? 'event' : 'events'}${
    since !== undefined && html`, ${relative(since, 'for')}`
  }</span></dd></div>
<div><dt>Delivered</dt><dd><b>${rate(perSecond)}</b> <span class="quiet">a second</span></dd></div>
<div><dt>Dead letters</dt><dd>${
    deadLetters === 0
      ? html`<b>0</b>`
      : html`<a class="alert" href="${href('/dead-letters', { connector: name })}"><b>${figure(deadLetters)}</b> to review</a>`
  }</dd></div>
</dl>
<div class="acts row">${button(toggle, { connector: name, back: '/' }, toggle === 'pause' ? 'Pause' : 'Resume', name)}
${ask(`replay-${name}`, 'Replay…', name, replayForm(ports, name))}</div>
${trouble(connector, ports.lastFault(name))}${copyLines(connector)}${resync(connector)}</article>`;
}

const SCOPES: Readonly<Record<LastFault['scope'], string>> = {
  destination: 'resolved since',
  retry: 'one event, which is retried',
  'dead-letter': 'a dead letter',
};

function trouble({ name, state }: ConnectorState, last: LastFault | undefined): Html | '' {
  if (state.kind === 'waiting') {
    return html`<div class="trouble callout bad">${faultLines(state.fault, `down-${name}`)}
<p class="quiet">Unreachable ${relative(state.since, 'for')}; next try ${relative(state.retryAt, 'in')}. Nothing is lost: events wait in the journal.</p></div>`;
  }
  if (last === undefined) return '';
  return html`<details class="trouble" id="fault-${name}"><summary class="quiet">Last error ${relative(last.at, 'ago')}, ${
    SCOPES[last.scope]
  }</summary>${faultLines(last.fault, `fault-${name}`)}</details>`;
}

/** Says what is known of the copy as a whole. */
function copyLines({ copy, verifyEvery }: ConnectorState): Html | '' {
  if (copy === undefined) return '';
  const { incomplete, lacking, differing, verifiedAt } = copy;
  const verified = verifiedAt === undefined ? 'Not verified yet' : html`Verified ${relative(verifiedAt, 'ago')}`;
  return html`${incomplete && html`<p class="trouble callout bad">Incomplete ${relative(incomplete.since, 'for')}: ${shown(incomplete.reason)}</p>`}${
    lacking &&
    html`<p class="trouble quiet">${plural(lacking.events, 'event')} received before ${stamp(lacking.before)} UTC had been pruned when it was restored.</p>`
  }<p class="trouble quiet">${verifyEvery === undefined ? 'Not compared (verify is off)' : verified}${
    differing > 0 && html`: <b class="bad">${plural(differing, 'difference')}</b> not mended`
  }</p>`;
}

function resync({ name, restore }: ConnectorState): Html | '' {
  if (restore === undefined) return '';
  const { ended, total, done, mended, failed } = restore;
  const most = Math.max(1, total);
  return html`<p class="trouble">${ended ? 'Groups resynced' : 'Resyncing groups'}: <progress max="${most}" value="${
    ended ? most : done
  }" aria-label="Groups resynced to ${name}"></progress> ${figure(done)} of ${figure(total)}, ${figure(mended)} written${
    failed > 0 && html`, <b class="bad">${figure(failed)} failed</b>`
  }</p>`;
}

/** Says the state in words, with what it means for the events. */
function stateBadge({ state, lagSeconds, copy }: ConnectorState): Html {
  if (copy?.incomplete !== undefined) return badge('bad', 'Incomplete');
  const states: Readonly<Record<typeof state.kind, readonly [Tone, string]>> = {
    waiting: ['bad', 'Unreachable'],
    paused: ['held', 'Paused'],
    connecting: ['busy', 'Connecting'],
    ended: ['held', 'Ended'],
    running: lagSeconds < BEHIND_SECONDS ? ['ok', 'In step'] : ['busy', 'Delivering'],
  };
  return badge(...states[state.kind]);
}

const SETTING = /^(app|receiver|journal|admin|connectors|reconcile)\b/;

/** Says what went wrong, what to do, and which setting or field it concerns. `id` must be unique on the page. */
export function faultLines({ message, path, suggestion, code: name }: Fault, id: string): Html {
  return html`<div class="fault">${value(message, { id: `${id}-message`, most: 240 })} ${small(name)}${
    suggestion !== undefined && html`<p><span class="quiet" aria-hidden="true">→</span> ${shown(suggestion)}</p>`
  }${path !== undefined && html`<p class="quiet">${SETTING.test(path) ? 'Setting' : 'Field'} ${small(path)}</p>`}</div>`;
}

const small = (text: string): Html => html`<span class="quiet">${code(text)}</span>`;

function replayForm(ports: ConsolePorts, name: string): Html {
  const { head } = ports.status().journal;
  const choice = (from: string, words: string, field: Html | '' = ''): Html => {
    const id = `replay-${name}-${from}`;
    return html`<p class="choice row"><label for="${id}"><input type="radio" name="from" value="${from}" id="${id}" required> ${words}</label> ${field}</p>`;
  };
  return form(
    'replay',
    { connector: name, back: '/' },
    html`<fieldset class="stack"><legend><b>Deliver again to ${name}, from</b></legend>
${choice('beginning', 'the beginning: all that is in the journal')}
${choice('seq', 'a seq', html`<input type="number" name="seq" min="1" max="${Math.max(1, head)}" aria-label="Seq" inputmode="numeric" placeholder="${head}">`)}
${choice('time', 'a time of receipt (UTC)', html`<input type="datetime-local" name="time" step="1" aria-label="Time of receipt, UTC">`)}
${ports.holdsGroups(name) ? choice('groups', 'groups: the merged state of every group ever recorded') : ''}
</fieldset>
<p class="quiet">This is safe, since events keep their ids and copies converge; it costs deliveries.</p>
<button type="submit" class="strong">Replay</button>`,
  );
}
