import type { Context } from 'hono';
import { refuse } from '../refusal.ts';

export function bearerOf(context: Context): string | undefined {
  return /^bearer +(\S+) *$/i.exec(context.req.header('authorization') ?? '')?.[1];
}

/** Refuses requests that a page of another site may have made a browser send; returns undefined for all others. */
export function refuseForeign(context: Context): Response | undefined {
  const { method, path } = context.req;
  if (method === 'GET' || method === 'HEAD') return isOfAnotherSite(context) ? foreign(context) : undefined;
  const sameOrigin = isSameOrigin(context);
  if (path.startsWith('/api/')) {
    // Browsers do not let a page of another origin claim to send JSON.
    if (!/^application\/json *(;|$)/i.test(context.req.header('content-type') ?? '')) {
      return refuse(context, { code: 'usage', message: 'content-type: application/json is expected' }, 415);
    }
    if (sameOrigin !== false) return undefined;
  } else if (sameOrigin ?? bearerOf(context) !== undefined) {
    return undefined;
  }
  return foreign(context);
}

const foreign = (context: Context): Response =>
  refuse(context, { code: 'usage', message: 'this was sent from a page of another site' }, 403);

/** Whether another site's page wants to embed this; a person may follow a link from there. */
function isOfAnotherSite({ req }: Context): boolean {
  const site = req.header('sec-fetch-site') ?? 'none';
  if (site === 'none' || site === 'same-origin') return false;
  return req.header('sec-fetch-mode') !== 'navigate' || req.header('sec-fetch-dest') !== 'document';
}

/**
 * Browsers tell the origin of a form by Sec-Fetch-Site or, if they are old or use plain HTTP, by Origin. Returns undefined
 * if neither was sent. (hono/csrf would accept that, and compares the scheme, which a proxy in front changes.)
 */
function isSameOrigin(context: Context): boolean | undefined {
  const site = context.req.header('sec-fetch-site');
  if (site !== undefined) return site === 'same-origin';
  const origin = context.req.header('origin');
  if (origin === undefined) return undefined;
  return URL.canParse(origin) && new URL(origin).host === context.req.header('host');
}

/** Trusts a proxy's header or the browser's Origin: whoever forges them only keeps their own cookie from plain HTTP. */
export function cameByHttps(context: Context): boolean {
  const { 'x-forwarded-proto': proto = '', origin = '' } = context.req.header();
  return /^https *(,|$)/i.test(proto) || origin.startsWith('https://');
}

/** Returns the path on this server that the text leads to, or `/` if it leads elsewhere. */
export function localPath(text: unknown): string {
  const base = 'http://page';
  if (typeof text !== 'string' || !text.startsWith('/') || !URL.canParse(text, base)) return '/';
  const { origin, pathname, search } = new URL(text, base);
  // "/.//elsewhere" becomes "//elsewhere" when resolved.
  return origin !== base || pathname.startsWith('//') ? '/' : pathname + search;
}
