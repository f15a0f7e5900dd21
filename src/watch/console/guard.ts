import type { Context } from 'hono';

/*
 * Any web page can make a browser send requests to this machine's loopback. A foreign Host (DNS rebinding) is not served at all,
 * and what changes something must come from a page of this very server.
 */

const LOOPBACK_HOST = /^(127(\.\d{1,3}){3}|\[::1\]|localhost)(:\d+)?$/i;

export function isServedHost(context: Context): boolean {
  return LOOPBACK_HOST.test(context.req.header('host') ?? '');
}

/** Browsers say where a form was: by Sec-Fetch-Site, older ones by Origin. Whoever says neither is no browser. */
export function isSameOrigin(context: Context): boolean {
  const site = context.req.header('sec-fetch-site');
  if (site !== undefined) return site === 'same-origin';
  const origin = context.req.header('origin') ?? '';
  return URL.canParse(origin) && new URL(origin).host === context.req.header('host');
}
