/* Puts into place what the server renders, and counts seconds. Without it, people reload the pages. */

(() => {
  const liveness = document.getElementById('liveness');
  let ahead = 0; // the bridge's clock, in ms ahead of this one
  const texts = JSON.parse(document.body.dataset.texts);
  const filled = (text, what) => text.replace('{}', what);

  // Times: "12 s ago", "for 3 min", "in 4 s".
  const [d, h, min, s] = texts.units;
  const span = (seconds) => {
    if (seconds < 60) return `${Math.max(0, seconds)} ${s}`;
    const minutes = Math.floor(seconds / 60);
    if (minutes < 60) return `${minutes} ${min}`;
    const hours = Math.floor(minutes / 60);
    if (hours < 48) return minutes % 60 === 0 ? `${hours} ${h}` : `${hours} ${h} ${minutes % 60} ${min}`;
    return `${Math.floor(hours / 24)} ${d}`;
  };
  const words = {
    ago: (seconds) => filled(texts.ago, span(seconds)),
    for: (seconds) => filled(texts.for, span(seconds)),
    in: (seconds) => (seconds >= 0 ? texts.now : filled(texts.in, span(-seconds))),
  };
  const tick = () => {
    const now = Date.now() + ahead;
    for (const time of document.querySelectorAll('time[data-tick]')) {
      const text = words[time.dataset.tick](Math.floor((now - Date.parse(time.dateTime)) / 1000));
      if (time.textContent !== text) time.textContent = text;
    }
  };

  // Only the differences in a part are applied, so that focus, selection, scroll position and input survive.
  const own = (name, { nodeName, type }) =>
    (name === 'open' && nodeName === 'DETAILS') ||
    ((name === 'value' || name === 'checked') && nodeName === 'INPUT' && type !== 'hidden');
  const ticks = (from, to) => from.dataset?.tick !== undefined && from.dateTime === to.dateTime;
  const callbacks = {
    beforeAttributeUpdated: (...update) => !own(...update),
    beforeNodeMorphed: (...pair) => !ticks(...pair),
  };
  const place = ({ id, html }) => {
    const part = document.getElementById(`part-${id}`);
    if (part !== null) Idiomorph.morph(part, html, { morphStyle: 'innerHTML', callbacks });
    tick();
  };

  // The stream of changed parts, while the page is visible.
  let source;
  let leaving = false;
  let again;
  const say = (state, text) => {
    if (liveness.dataset.state === state) return;
    liveness.textContent = text;
    liveness.dataset.state = state;
  };
  // Without its bridge a page must look lost, and its buttons must not lead to an error page of the browser.
  const lost = document.getElementById('lost');
  const answers = () =>
    fetch('/healthz').then(
      ({ ok }) => ok,
      () => false,
    );
  const cutOff = (then) => {
    say('lost', texts.lost);
    const asOf = new Date(Date.now() + ahead).toISOString().slice(11, 19);
    if (lost.hidden) lost.dataset.asOf = asOf;
    lost.textContent = `${filled(texts.asOf, lost.dataset.asOf)} ${then}`;
    lost.hidden = false;
  };
  document.addEventListener('submit', (event) => {
    if (lost.hidden) return;
    event.preventDefault();
    cutOff(texts.undone);
  });
  const close = () => {
    clearTimeout(again);
    source?.close();
    source = undefined;
  };
  const look = () => {
    if (document.hidden) return close();
    if (source !== undefined) return;
    source = new EventSource(document.body.dataset.live);
    source.addEventListener('open', () => {
      say('live', texts.live);
      lost.hidden = true;
    });
    source.addEventListener('part', ({ data }) => place(JSON.parse(data)));
    source.addEventListener('time', ({ data }) => {
      ahead = Number(data) - Date.now();
      tick();
    });
    source.addEventListener('error', async () => {
      close();
      if (leaving) return;
      if (await answers()) say('crowded', texts.crowded);
      else if (!document.hidden) cutOff(texts.again);
      again = setTimeout(look, 2000);
    });
  };
  document.addEventListener('visibilitychange', look);
  window.addEventListener('beforeunload', () => {
    leaving = true;
  });
  window.addEventListener('pagehide', close);
  window.addEventListener('pageshow', () => {
    leaving = false;
    look();
  });

  // A notice is about the action just taken: it is read out, and disappears at a reload.
  document.getElementById('notice')?.focus();
  const url = new URL(location.href);
  for (const name of ['notice', 'n']) url.searchParams.delete(name);
  history.replaceState(null, '', url);

  // Escape, or a click elsewhere, closes an open question.
  const closeAsking = (stays) => {
    for (const open of document.querySelectorAll('.ask[open]')) if (!stays(open)) open.open = false;
  };
  document.addEventListener('keydown', ({ key }) => {
    if (key !== 'Escape') return;
    document.querySelector('.ask[open] > summary')?.focus();
    closeAsking(() => false);
  });
  document.addEventListener('click', ({ target }) => closeAsking((open) => open.contains(target)));

  // Input in a choice's field selects the choice.
  document.addEventListener('input', ({ target }) => {
    const radio = target.closest('.choice')?.querySelector('input[type="radio"]');
    if (radio) radio.checked = true;
  });

  tick();
  setInterval(tick, 1000);
  look();
})();
