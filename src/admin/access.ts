import { hash, hkdfSync, timingSafeEqual } from 'node:crypto';
import { getConnInfo } from '@hono/node-server/conninfo';
import type { Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { deleteCookie, getSignedCookie, setSignedCookie } from 'hono/cookie';
import type { Clock } from '../model/clock.ts';
import type { Fault } from '../model/fault.ts';
import type { SignalBus } from '../model/signal.ts';
import { SIGN_IN_HEADERS, signInPage } from './sign-in.ts';
import { countGuesses } from './sign-in-limit.ts';

/*
 * Who may use the admin server. Without a token: whoever is on this machine, so that a foreign Host (DNS rebinding) is not
 * served. With one: programs send it as a bearer, and a person signs in with it for pages. Either way, what changes something
 * must come from this very server, if a browser sends it: any web page can make a browser send requests to here.
 */

export interface AccessSettings {
  readonly token?: string | undefined;
}

const SESSION_S = 12 * 3_600;
const COOKIE = 'group-sync-bridge';
const LOOPBACK_HOST = /^(127(\.\d{1,3}){3}|\[::1\]|localhost)(:\d+)?$/i;

/** Guards every path that is added to `app` afterwards, and with a token adds /signin and /signout. */
export function guardAccess(app: Hono, { token }: AccessSettings, clock: Clock, signals: SignalBus): void {
  app.use(async (context, next) => {
    if (token === undefined && !LOOPBACK_HOST.test(context.req.header('host') ?? '')) {
      return refuse(context, 403, {
        code: 'usage',
        path: 'admin.token',
        message: 'this host is not served',
        suggestion: 'without admin.token only requests to 127.0.0.1, [::1] and localhost are answered',
      });
    }
    return foreign(context) ?? next();
  });
  if (token !== undefined) askForToken(app, token, clock, signals);
}

function askForToken(app: Hono, token: string, clock: Clock, signals: SignalBus): void {
  const guesses = countGuesses(clock);
  const wanted = hash('sha256', token, 'buffer');
  // Another token makes another key: whoever signed in with the one before is signed out.
  const key = hkdfSync('sha256', token, '', 'group-sync-bridge: session of the admin server', 32);

  /** Never the token itself is compared, so that the time taken says nothing about it or its length. */
  const judge = (context: Context, given: string): 'right' | 'wrong' | 'slowed' => {
    const peer = getConnInfo(context).remote.address ?? '';
    if (guesses.exhausted(peer)) return 'slowed';
    if (timingSafeEqual(hash('sha256', given, 'buffer'), wanted)) return 'right';
    guesses.add(peer);
    signals.emit('admin.token-wrong', { peer });
    return 'wrong';
  };
  const signedIn = async (context: Context): Promise<boolean> =>
    Number(await getSignedCookie(context, key, COOKIE)) > clock.now() / 1_000;

  app.get('/signin', async (context) => {
    const to = localPath(context.req.query('to'));
    if (await signedIn(context)) return context.redirect(to, 303);
    return context.html(signInPage(to), 200, SIGN_IN_HEADERS);
  });
  // Whoever may not come in yet must not fill the memory.
  app.post('/signin', bodyLimit({ maxSize: 16_384 }), async (context) => {
    const form = await context.req.parseBody();
    const to = localPath(typeof form.to === 'string' ? form.to : undefined);
    const verdict = judge(context, typeof form.token === 'string' ? form.token.trim() : '');
    if (verdict !== 'right') {
      if (verdict === 'slowed') context.header('retry-after', '60');
      return context.html(signInPage(to, verdict), verdict === 'slowed' ? 429 : 401, SIGN_IN_HEADERS);
    }
    await setSignedCookie(context, COOKIE, String(Math.floor(clock.now() / 1_000) + SESSION_S), key, {
      path: '/',
      httpOnly: true,
      sameSite: 'Strict',
      maxAge: SESSION_S,
      secure: cameByHttps(context),
    });
    context.header('cache-control', 'no-store');
    return context.redirect(to, 303);
  });

  app.use(async (context, next) => {
    const bearer = bearerOf(context);
    if (bearer !== undefined) {
      const verdict = judge(context, bearer);
      return verdict === 'right' ? next() : refuseToken(context, verdict);
    }
    if (isForPrograms(context)) return refuseToken(context, 'missing');
    if (await signedIn(context)) return next();
    const { pathname, search } = new URL(context.req.url);
    const to = context.req.method === 'GET' ? localPath(pathname + search) : '/';
    context.header('cache-control', 'no-store');
    return context.redirect(to === '/' ? '/signin' : `/signin?${new URLSearchParams({ to })}`, 303);
  });

  app.post('/signout', (context) => {
    deleteCookie(context, COOKIE, { path: '/', httpOnly: true, sameSite: 'Strict', secure: cameByHttps(context) });
    return context.redirect('/signin', 303);
  });
}

function isForPrograms({ req: { path } }: Context): boolean {
  return path.startsWith('/api/') || path === '/metrics';
}

function bearerOf(context: Context): string | undefined {
  return /^bearer +(\S+) *$/i.exec(context.req.header('authorization') ?? '')?.[1];
}

/** The refusal of what another site's page may have made a browser send; undefined for all else. */
function foreign(context: Context): Response | undefined {
  const { method, path } = context.req;
  if (method === 'GET' || method === 'HEAD') return undefined;
  const said = isSameOrigin(context);
  if (path.startsWith('/api/')) {
    // A page of another origin is not allowed to say that it is JSON.
    if (!/^application\/json\b/.test(context.req.header('content-type') ?? '')) {
      return refuse(context, 415, { code: 'usage', message: 'content-type: application/json is expected' });
    }
    if (said !== false) return undefined;
  } else if (said === true || (said === undefined && bearerOf(context) !== undefined)) {
    return undefined;
  }
  return refuse(context, 403, { code: 'usage', message: 'this was sent by a page of another site' });
}

/**
 * Browsers say where a form was: by Sec-Fetch-Site or, older ones and those that came by plain HTTP, by Origin. hono/csrf lets
 * a request pass that names neither, and compares the scheme, which a proxy in front changes. Undefined: neither was given.
 */
export function isSameOrigin(context: Context): boolean | undefined {
  const site = context.req.header('sec-fetch-site');
  if (site !== undefined) return site === 'same-origin';
  const origin = context.req.header('origin');
  if (origin === undefined) return undefined;
  return URL.canParse(origin) && new URL(origin).host === context.req.header('host');
}

/** The proxy says so, or the browser's own Origin; forged, it only keeps the forger's own cookie from plain HTTP. */
function cameByHttps(context: Context): boolean {
  const { 'x-forwarded-proto': proto = '', origin = '' } = context.req.header();
  return /^https\b/i.test(proto) || origin.startsWith('https://');
}

/** A page of this server to go to; whatever leads elsewhere becomes the first page. */
function localPath(text: string | undefined): string {
  const base = 'http://page';
  if (text === undefined || !text.startsWith('/') || !URL.canParse(text, base)) return '/';
  const { origin, pathname, search } = new URL(text, base);
  // "/.//elsewhere" is a path until it is resolved.
  return origin !== base || pathname.startsWith('//') ? '/' : pathname + search;
}

function refuseToken(context: Context, why: 'missing' | 'wrong' | 'slowed'): Response {
  const suggestion =
    'send the admin.token of the bridge’s configuration as "Authorization: Bearer …"; the command line takes it from its configuration or from ADMIN_TOKEN';
  if (why === 'slowed') {
    context.header('retry-after', '60');
    return refuse(context, 429, {
      code: 'token-guessed',
      path: 'admin.token',
      message: 'too many wrong tokens from this address: wait a minute',
      suggestion,
    });
  }
  context.header('www-authenticate', 'Bearer realm="group-sync-bridge"');
  const message = why === 'missing' ? 'admin.token is asked for' : 'this is not the admin.token of the bridge';
  return refuse(context, 401, { code: `token-${why}`, path: 'admin.token', message, suggestion });
}

function refuse(context: Context, status: 401 | 403 | 415 | 429, fault: Fault): Response {
  return context.json({ fault }, status);
}
