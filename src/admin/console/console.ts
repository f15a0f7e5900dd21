import { type Context, Hono } from 'hono';
import { html } from 'hono/html';
import { findEvent } from '../../journal/history.ts';
import { faultOf } from '../../model/fault.ts';
import { act } from './actions.ts';
import { ASSETS } from './assets.ts';
import { faultLines } from './connectors.ts';
import { deadLettersPage, exportLetters } from './dead-letters.ts';
import { eventPage } from './event.ts';
import { eventsPage } from './events.ts';
import { groupPage } from './group.ts';
import { groupsPage } from './groups.ts';
import { document, navigation, type Page, type Part } from './layout.ts';
import { createLive } from './live.ts';
import { noticeOf } from './notices.ts';
import { overviewPage } from './overview.ts';
import type { ConsolePorts, View } from './ports.ts';
import { quarantinePage } from './quarantine.ts';
import { reconcilePage } from './reconcile.ts';
import { empty } from './table.ts';
import { type Html, href } from './text.ts';
import { textsFor } from './texts/index.ts';
import { wholePage } from './whole.ts';

/*
 * The operator's console. The server renders whole pages, and their parts again while somebody watches; the script only puts
 * them in place. Without it, people reload. Actions are plain forms, which lead back to their page, with a notice.
 */

type MakePage = (view: View, query: URLSearchParams, signal: AbortSignal) => Page | Promise<Page>;

const PAGES: Readonly<Record<string, MakePage>> = {
  '/': overviewPage,
  '/events': eventsPage,
  '/event': eventPage,
  '/groups': groupsPage,
  '/group': groupPage,
  '/dead-letters': deadLettersPage,
  '/quarantine': quarantinePage,
  '/reconcile': reconcilePage,
  '/whole': wholePage,
};

/** Forbids other origins and inline scripts and styles, so that text from outside is harmless even if it became markup. */
const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  // With no-referrer, browsers would not send the Origin of a form.
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
};

export function createConsole(ports: ConsolePorts): Hono {
  const app = new Hono();
  const viewOf = (context: Context): View => ({ ...ports, t: textsFor(context.req.header('accept-language')) });
  const live = createLive(ports.clock, ports.stopping.signal);

  app.use(async (context, next) => {
    for (const [name, text] of Object.entries(HEADERS)) context.header(name, text);
    await next();
  });

  const show = (path: string, make: MakePage) => async (context: Context) => {
    const view = viewOf(context);
    const url = new URL(context.req.url);
    const notice = noticeOf(view.t, url.searchParams);
    for (const name of ['notice', 'n']) url.searchParams.delete(name);
    const page = await make(view, url.searchParams, context.req.raw.signal);
    const rendered = async (part: Part) => ({ part, html: await safely(view, part) });
    const parts = await Promise.all([rendered(navigation(view, page.section)), ...page.parts.map(rendered)]);
    const watched = href('/live', { at: path + url.search });
    context.header('vary', 'Accept-Language');
    return context.html(document(view, page, parts, watched, notice), page.status ?? 200);
  };
  for (const [path, make] of Object.entries(PAGES)) app.get(path, show(path, make));

  // One box finds an event by its id or RequestID, a group by its id or a part of its name.
  app.get('/search', async (context) => {
    const text = (context.req.query('q') ?? '').trim();
    if (ports.journal.groups.get(text) !== undefined) return context.redirect(href('/group', { id: text }));
    const event = text === '' ? undefined : await findEvent(ports.journal.history, text, context.req.raw.signal);
    return context.redirect(event === undefined ? href('/groups', { search: text }) : href('/event', { id: text }));
  });

  app.get('/dead-letters/export', (context) => exportLetters(ports, context));

  app.get('/live', async (context) => {
    const at = within(context.req.query('at'));
    const make = at === undefined ? undefined : PAGES[at.pathname];
    if (at === undefined || make === undefined) return context.text('nothing is here', 404);
    const view = viewOf(context);
    const page = await make(view, at.searchParams, context.req.raw.signal);
    const parts = [navigation(view, page.section), ...page.parts];
    return live.watch(context, `${view.t.lang} ${at.pathname}${at.search}`, parts, async (part) =>
      String(await safely(view, part)),
    );
  });

  for (const { name, type, body } of ASSETS) {
    app.get(`/assets/${name}`, (context) => {
      context.header('cache-control', 'public, max-age=31536000, immutable');
      return context.body(body, 200, { 'content-type': type });
    });
  }

  app.post('/actions/:action', async (context) => {
    const form = await context.req.parseBody();
    const result = await act(ports, context.req.param('action'), form);
    if (result === undefined) return context.text('nothing is here', 404);
    const [notice, n] = result;
    const back = within(typeof form.back === 'string' ? form.back : '/') ?? new URL('http://page/');
    back.searchParams.set('notice', notice);
    if (n !== undefined) back.searchParams.set('n', String(n));
    return context.redirect(back.pathname + back.search, 303);
  });

  // For an unknown address, people get a page; programs get a fault from the admin server.
  const nothing = show('/whole', (view) => wholePage(view, new URLSearchParams()));
  app.get('*', (context, next) => {
    const { path } = context.req;
    return !path.startsWith('/api/') && context.req.header('accept')?.includes('text/html') ? nothing(context) : next();
  });

  return app;
}

/** Renders a part, or a message if that fails, so that the other parts are still shown. */
async function safely({ t }: View, part: Part): Promise<Html> {
  try {
    return await part.render();
  } catch (thrown) {
    return html`<div class="callout bad">${empty(t.frame.broken)}${faultLines(t, faultOf(thrown, 'internal'), `failed-${part.id ?? 'part'}`)}</div>`;
  }
}

/** Returns the address if it is a page of this console: no other is watched or returned to. */
function within(path: string | undefined): URL | undefined {
  const base = 'http://page/';
  if (path === undefined || !URL.canParse(path, base)) return undefined;
  const url = new URL(path, base);
  return url.host === 'page' && Object.hasOwn(PAGES, url.pathname) ? url : undefined;
}
