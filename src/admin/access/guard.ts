import { hash, hkdfSync, timingSafeEqual } from 'node:crypto';
import { getConnInfo } from '@hono/node-server/conninfo';
import type { Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { deleteCookie, getSignedCookie, setSignedCookie } from 'hono/cookie';
import { createRateLimit } from '../../http/rate-limit.ts';
import type { Clock } from '../../model/clock.ts';
import type { Fault } from '../../model/fault.ts';
import type { SignalBus } from '../../model/signal.ts';
import { type Texts, textsFor } from '../console/texts/index.ts';
import { refuse } from '../refusal.ts';
import { bearerOf, cameByHttps, localPath, refuseForeign } from './origin.ts';
import { SIGN_IN_HEADERS, signInPage } from './sign-in-page.ts';

/*
 * Who may use the admin server. Without a token: anybody on this machine; a foreign Host (DNS rebinding) is refused. With
 * one: programs send it as a bearer, and people sign in with it. Either way, any web page can make a browser send requests
 * here, so a browser's request to change something must come from a page of this server.
 */

/** From one address, per minute. */
const WRONG_TOKENS = 10;
const SESSION_S = 12 * 3_600;
const COOKIE = 'group-sync-bridge';
const LOOPBACK_HOST = /^(127(\.\d{1,3}){3}|\[::1\]|localhost)(:\d+)?$/i;
/** Strangers must not fill the memory. */
const MAX_BODY_BYTES = 1_048_576;
const TOO_LARGE: Fault = { code: 'usage', message: `a request holds at most ${MAX_BODY_BYTES} bytes` };

/** Sent with every answer. */
const HEADERS: Readonly<Record<string, string>> = {
  'x-content-type-options': 'nosniff',
  'cross-origin-resource-policy': 'same-origin',
};

/** Protects every path that is added to `app` afterwards, whoever asks. */
export function guardRequests(app: Hono): void {
  app.use(async (context, next) => {
    await next();
    const { headers } = context.res;
    for (const [name, text] of Object.entries(HEADERS)) headers.set(name, text);
    if (!headers.has('cache-control')) headers.set('cache-control', 'no-store');
  });
  app.use(async (context, next) => refuseForeign(context) ?? next());
  app.use(bodyLimit({ maxSize: MAX_BODY_BYTES, onError: (context) => refuse(context, TOO_LARGE, 413) }));
}

/** Guards every path that is added to `app` afterwards, and with a token adds /signin and /signout. */
export function guardAccess(app: Hono, token: string | undefined, clock: Clock, signals: SignalBus): void {
  if (token === undefined) {
    app.use(async (context, next) => {
      // An absolute request target overrides the Host header.
      const hosts = [context.req.header('host') ?? '', new URL(context.req.url).host];
      if (hosts.every((host) => LOOPBACK_HOST.test(host))) return next();
      const suggestion = 'without admin.token only requests to 127.0.0.1, [::1] and localhost are answered';
      const message = 'this host is not served';
      return refuse(context, { code: 'usage', path: 'admin.token', message, suggestion }, 403);
    });
    return;
  }
  const judge = createJudge(token, clock, signals);
  const session = createSession(token, clock);
  addSignIn(app, judge, session);
  app.use(async (context, next) => {
    const bearer = bearerOf(context);
    if (bearer !== undefined) {
      const verdict = judge(context, bearer);
      return verdict === 'right' ? next() : refuseToken(context, verdict);
    }
    const { path } = context.req;
    if (path.startsWith('/api/') || path === '/metrics') return refuseToken(context, 'missing');
    if (await session.isOpen(context)) return next();
    const { pathname, search } = new URL(context.req.url);
    const to = context.req.method === 'GET' ? localPath(pathname + search) : '/';
    return context.redirect(to === '/' ? '/signin' : `/signin?${new URLSearchParams({ to })}`, 303);
  });
  app.post('/signout', (context) => {
    session.close(context);
    return context.redirect('/signin', 303);
  });
}

type Judge = (context: Context, given: string) => 'right' | 'wrong' | 'slowed';

/** Judges tokens by their hashes, so that the time taken says nothing about the right one or its length. */
function createJudge(token: string, clock: Clock, signals: SignalBus): Judge {
  const limit = createRateLimit(clock, WRONG_TOKENS, 60_000);
  const wanted = hash('sha256', token, 'buffer');
  return (context, given) => {
    // The right token always works, since all clients behind a proxy share one address. Guessing 16 characters is hopeless at
    // any speed; this only slows those who try.
    if (timingSafeEqual(hash('sha256', given, 'buffer'), wanted)) return 'right';
    const peer = getConnInfo(context).remote.address ?? '';
    if (!limit.take(peer)) return 'slowed';
    signals.emit('admin.token-wrong', { peer });
    return 'wrong';
  };
}

type Session = ReturnType<typeof createSession>;

/** A person's session: a signed cookie with the time when it ends. */
function createSession(token: string, clock: Clock) {
  // A new token changes the key, and so signs everybody out.
  const key = hkdfSync('sha256', token, '', 'group-sync-bridge: session of the admin server', 32);
  const attributes = (context: Context) =>
    ({ path: '/', httpOnly: true, sameSite: 'Strict', secure: cameByHttps(context) }) as const;
  const now = (): number => clock.now() / 1_000;
  return {
    isOpen: async (context: Context) => Number(await getSignedCookie(context, key, COOKIE)) > now(),
    open(context: Context) {
      const end = String(Math.floor(now() + SESSION_S));
      return setSignedCookie(context, COOKIE, end, key, { ...attributes(context), maxAge: SESSION_S });
    },
    close: (context: Context) => void deleteCookie(context, COOKIE, attributes(context)),
  };
}

const textsOf = (context: Context): Texts => textsFor(context.req.header('accept-language'));

function addSignIn(app: Hono, judge: Judge, session: Session): void {
  app.get('/signin', async (context) => {
    const to = localPath(context.req.query('to'));
    if (await session.isOpen(context)) return context.redirect(to, 303);
    return context.html(signInPage(textsOf(context), to), 200, SIGN_IN_HEADERS);
  });
  app.post(
    '/signin',
    bodyLimit({ maxSize: 16_384, onError: (context) => refuse(context, TOO_LARGE, 413) }),
    async (context) => {
      const form = await context.req.parseBody();
      const to = localPath(form.to);
      const verdict = judge(context, typeof form.token === 'string' ? form.token.trim() : '');
      if (verdict !== 'right') {
        if (verdict === 'slowed') context.header('retry-after', '60');
        return context.html(
          signInPage(textsOf(context), to, verdict),
          verdict === 'slowed' ? 429 : 401,
          SIGN_IN_HEADERS,
        );
      }
      await session.open(context);
      return context.redirect(to, 303);
    },
  );
}

const TOKEN_MESSAGES = {
  missing: ['token-missing', 'admin.token is required'],
  wrong: ['token-wrong', 'this is not the admin.token of the bridge'],
  slowed: ['token-guessed', 'too many wrong tokens from this address: wait a minute'],
} as const;

function refuseToken(context: Context, why: keyof typeof TOKEN_MESSAGES): Response {
  if (why === 'slowed') context.header('retry-after', '60');
  else context.header('www-authenticate', 'Bearer realm="group-sync-bridge"');
  const [code, message] = TOKEN_MESSAGES[why];
  const suggestion =
    'send the admin.token of the bridge’s configuration as "Authorization: Bearer …"; the command line takes it from its configuration or from ADMIN_TOKEN';
  return refuse(context, { code, path: 'admin.token', message, suggestion });
}
