/* Puts what the server renders in place, and counts seconds. Without it the pages work by reloading. */

(() => {
  const liveness = document.getElementById('liveness');
  let ahead = 0; // the bridge's clock, in ms ahead of this one

  /* ---- times: "12 s ago", "for 3 min", "in 4 s" ---- */

  const long = (seconds) => {
    if (seconds < 60) return `${seconds} s`;
    const minutes = Math.floor(seconds / 60);
    if (minutes < 60) return `${minutes} min`;
    const hours = Math.floor(minutes / 60);
    if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
    return `${Math.floor(hours / 24)} days`;
  };
  const words = {
    ago: (seconds) => `${long(Math.max(0, seconds))} ago`,
    for: (seconds) => `for ${long(Math.max(0, seconds))}`,
    in: (seconds) => (seconds >= 0 ? 'now' : `in ${long(-seconds)}`),
  };
  const tick = () => {
    const now = Date.now() + ahead;
    for (const time of document.querySelectorAll('time[data-tick]')) {
      const text = words[time.dataset.tick](Math.floor((now - Date.parse(time.dateTime)) / 1000));
      if (time.textContent !== text) time.textContent = text;
    }
  };

  /* ---- one tree made like another, touching only what differs: focus, selection, scroll and what is open stay ---- */

  const template = document.createElement('template');
  const same = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || '') === (b.id || '');
  const attributes = (from, to) => {
    for (const { name, value } of [...to.attributes]) {
      if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    }
    for (const { name } of [...from.attributes]) {
      // What somebody opened, and the choices somebody made, are theirs.
      if (!to.hasAttribute(name) && !(name === 'open' && from.nodeName === 'DETAILS')) from.removeAttribute(name);
    }
  };
  const morph = (from, to) => {
    if (from.nodeType !== Node.ELEMENT_NODE) {
      if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
      return;
    }
    if (from.isEqualNode(to)) return;
    const ticking = from.nodeName === 'TIME' && from.dataset.tick !== undefined && from.dateTime === to.dateTime;
    attributes(from, to);
    if (!ticking) children(from, to);
  };
  const children = (from, to) => {
    const named = new Map();
    for (const child of from.children) if (child.id) named.set(child.id, child);
    let at = from.firstChild;
    for (const wanted of [...to.childNodes]) {
      const own = wanted.id ? named.get(wanted.id) : undefined;
      if (own !== undefined && same(own, wanted)) {
        if (own === at) at = at.nextSibling;
        else from.insertBefore(own, at);
        morph(own, wanted);
      } else if (at !== null && !wanted.id && same(at, wanted)) {
        const next = at.nextSibling;
        morph(at, wanted);
        at = next;
      } else {
        from.insertBefore(wanted, at);
      }
    }
    while (at !== null) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  };
  const place = ({ id, html }) => {
    const part = document.getElementById(`part-${id}`);
    if (part === null) return;
    template.innerHTML = html;
    children(part, template.content);
    tick();
  };

  /* ---- the stream of parts, while somebody looks ---- */

  let source;
  let again;
  const say = (text, state) => {
    if (liveness.textContent !== text) liveness.textContent = text;
    liveness.dataset.state = state;
  };
  const watch = () => {
    clearTimeout(again);
    source?.close();
    source = new EventSource(document.body.dataset.live);
    source.addEventListener('open', () => say('Live', 'live'));
    source.addEventListener('part', ({ data }) => place(JSON.parse(data)));
    source.addEventListener('time', ({ data }) => {
      ahead = Number(data) - Date.now();
      tick();
    });
    source.addEventListener('error', () => {
      say('Not connected: the bridge does not answer. Trying again…', 'lost');
      source.close();
      clearTimeout(again);
      again = setTimeout(look, 2000);
    });
  };
  const look = () => {
    if (document.hidden) {
      clearTimeout(again);
      source?.close();
      source = undefined;
    } else if (source === undefined || source.readyState === EventSource.CLOSED) watch();
  };
  document.addEventListener('visibilitychange', look);
  window.addEventListener('pagehide', () => source?.close());
  window.addEventListener('pageshow', look);

  /* ---- a notice is of the action just done: it is read out, and not there after a reload ---- */

  const notice = document.getElementById('notice');
  if (notice !== null) {
    notice.focus();
    const url = new URL(location.href);
    url.searchParams.delete('notice');
    url.searchParams.delete('n');
    history.replaceState(null, '', url);
  }

  // What asks closes without an answer, by Escape or by looking elsewhere.
  document.addEventListener('keydown', ({ key }) => {
    const open = key === 'Escape' && document.querySelector('.ask[open]');
    if (!open) return;
    open.open = false;
    open.querySelector('summary').focus();
  });
  document.addEventListener('click', ({ target }) => {
    for (const open of document.querySelectorAll('.ask[open]')) if (!open.contains(target)) open.open = false;
  });

  // Where a choice has a field of its own, filling it in makes the choice.
  document.addEventListener('input', ({ target }) => {
    const radio = target.closest('.choice')?.querySelector('input[type="radio"]');
    if (radio && radio !== target) radio.checked = true;
  });

  tick();
  setInterval(tick, 1000);
  look();
})();
