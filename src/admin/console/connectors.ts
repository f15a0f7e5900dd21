import { html } from 'hono/html';
import type { Fault } from '../../model/fault.ts';
import { figure, rate } from '../../model/text.ts';
import type { ConnectorState } from '../contract.ts';
import { ask, button, form } from './forms.ts';
import { badge, type Tone } from './layout.ts';
import type { ConsolePorts } from './ports.ts';
import { code, type Html, href, relative, shown, value } from './text.ts';

/** All connectors: how each is, how far, and what can be done with it. */
export function connectorList(ports: ConsolePorts): Html {
  return html`${ports.status().connectors.map((connector) => connectorCard(ports, connector))}`;
}

function connectorCard(ports: ConsolePorts, connector: ConnectorState): Html {
  const { name, kind, state, lag, deadLetters, restore } = connector;
  const flow = ports.flow(name);
  const since = lag > 0 ? ports.behindSince(name) : undefined;
  return html`<article class="connector" id="connector-${name}" aria-labelledby="connector-${name}-name">
<div class="who"><h3 id="connector-${name}-name">${name}</h3><p class="quiet">${kind}, ${
    ports.holdsGroups(name) ? 'groups' : 'events'
  }</p></div>
<div class="state">${stateBadge(connector)}</div>
<dl class="figures">
<div><dt>Behind</dt><dd>${
    lag === 0
      ? html`<b>0</b> <span class="quiet">events</span>`
      : html`<b>${figure(lag)}</b> <span class="quiet">${lag === 1 ? 'event' : 'events'}${
          since !== undefined && html`, ${relative(since, 'for')}`
        }</span>`
  }</dd></div>
<div><dt>Delivered</dt><dd><b>${rate(flow.perSecond)}</b> <span class="quiet">a second</span></dd></div>
<div><dt>Dead letters</dt><dd>${
    deadLetters === 0
      ? html`<b>0</b>`
      : html`<a class="alert" href="${href('/dead-letters', { connector: name })}"><b>${figure(deadLetters)}</b> to see to</a>`
  }</dd></div>
</dl>
<div class="acts">
${
  state.kind === 'paused'
    ? button('resume', { connector: name, back: '/' }, 'Resume', name)
    : button('pause', { connector: name, back: '/' }, 'Pause', name)
}
${ask(`replay-${name}`, 'Replay…', name, replayForm(ports, name))}
</div>
${
  state.kind === 'waiting'
    ? html`<div class="trouble bad">${faultLines(state.fault, `down-${name}`)}
<p class="quiet">Not reachable ${relative(state.since, 'for')}; tried again ${relative(state.retryAt, 'in')}. Nothing is lost: events wait in the journal.</p></div>`
    : flow.lastFault !== undefined &&
      html`<details class="trouble" id="fault-${name}"><summary>Last error ${relative(flow.lastFault.at, 'ago')}${
        flow.lastFault.of === 'destination'
          ? ', over now'
          : flow.lastFault.of === 'retry'
            ? ', of one event'
            : ', a dead letter'
      }</summary>${faultLines(flow.lastFault.fault, `fault-${name}`)}</details>`
}
${
  restore !== undefined &&
  html`<p class="restore">${restore.ended ? 'Groups brought' : 'Bringing groups'}: <progress max="${Math.max(1, restore.total)}" value="${
    restore.ended ? Math.max(1, restore.total) : restore.done
  }" aria-label="Groups brought to ${name}"></progress> ${figure(restore.done)} of ${figure(restore.total)}, ${figure(
    restore.mended,
  )} written${restore.failed > 0 && html`, <b>${figure(restore.failed)} not taken</b>`}</p>`
}
</article>`;
}

/** State in words, with what it means for the events. */
export function stateBadge({ state, lag }: ConnectorState): Html {
  const [tone, words]: [Tone, string] =
    state.kind === 'waiting'
      ? ['bad', 'Unreachable']
      : state.kind === 'paused'
        ? ['held', 'Paused']
        : state.kind === 'connecting'
          ? ['busy', 'Connecting']
          : state.kind === 'ended'
            ? ['held', 'Ended']
            : lag === 0
              ? ['ok', 'In step']
              : ['busy', 'Delivering'];
  return badge(tone, words);
}

const SETTING = /^(app|receiver|journal|admin|connectors|reconcile)\b/;

/** What went wrong, what to do, which setting or field. `id` must be unique on the page. */
export function faultLines({ message, path, suggestion, code: name }: Fault, id: string): Html {
  return html`<div class="fault"><div class="message">${value(message, `${id}-message`, 240)} ${code(name)}</div>${
    suggestion !== undefined && html`<p class="hint">${shown(suggestion)}</p>`
  }${path !== undefined && html`<p class="quiet">${SETTING.test(path) ? 'Setting' : 'Field'} ${code(path)}</p>`}</div>`;
}

function replayForm(ports: ConsolePorts, name: string): Html {
  const { head } = ports.status().journal;
  const id = (what: string): string => `replay-${name}-${what}`;
  const choice = (
    from: string,
    words: Html | string,
    more: Html | '' = '',
    first = false,
  ): Html => html`<p class="choice">
<input type="radio" name="from" value="${from}" id="${id(from)}" ${first && html`checked`}> <label for="${id(from)}">${words}</label> ${more}</p>`;
  return form(
    'replay',
    { connector: name, back: '/' },
    html`<fieldset><legend>Deliver again to ${name}, from</legend>
${choice('beginning', 'the beginning: all that is in the journal', '', true)}
${choice(
  'seq',
  'a seq',
  html`<input type="number" name="seq" min="1" max="${Math.max(1, head)}" aria-label="Seq" inputmode="numeric" placeholder="${head}">`,
)}
${choice('time', 'a time of receipt (UTC)', html`<input type="datetime-local" name="time" step="1" aria-label="Time of receipt, UTC">`)}
${ports.holdsGroups(name) ? choice('groups', 'groups: the merged state of every group ever recorded') : ''}
</fieldset>
<p class="quiet">Copies converge and events keep their ids, so this is safe; it costs deliveries.</p>
<button type="submit" class="strong">Replay</button>`,
  );
}
