import { hash } from 'node:crypto';
import { html, raw } from 'hono/html';
import type { Texts } from '../console/texts/index.ts';

/** The sign-in page needs no other file, since nothing else is served before a sign-in. */

const STYLE = `
:root { color-scheme: light dark; --ground: #f5f6f8; --surface: #fff; --text: #1a1f26; --quiet: #59636e; --line: #87919c; --accent: #0b57d0; --on-accent: #fff; --bad: #b3261e; --bad-ground: #fdeceb; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #0e1116; --surface: #161b22; --text: #e3e8ee; --quiet: #9aa6b2; --line: #6b7682; --accent: #79b0ff; --on-accent: #0e1116; --bad: #ff958c; --bad-ground: #3d1614; }
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 16px; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 26rem; padding: 24px; background: var(--surface); border: 1px solid var(--line); border-radius: 8px; }
h1 { margin: 0 0 4px; font-size: 1.25rem; }
p { margin: 0 0 16px; }
.quiet { color: var(--quiet); font-size: 0.875rem; }
#where { margin: 12px 0 0; }
.bad { padding: 8px 12px; border-left: 4px solid var(--bad); background: var(--bad-ground); color: var(--bad); }
label { display: block; margin-bottom: 4px; font-weight: 600; }
input, button { width: 100%; padding: 8px 12px; border: 1px solid var(--line); border-radius: 6px; font: inherit; }
input { background: var(--ground); color: var(--text); }
button { margin-top: 16px; border-color: var(--accent); background: var(--accent); color: var(--on-accent); font-weight: 600; cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
`;

/** Allows this style and no script. The referrer policy lets browsers send the Origin of the form. */
export const SIGN_IN_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': `default-src 'none'; style-src 'sha256-${hash('sha256', STYLE, 'base64')}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`,
  'referrer-policy': 'same-origin',
  vary: 'Accept-Language',
};

/** `to` is the page that was asked for. */
export function signInPage({ lang, signIn }: Texts, to: string, trouble?: 'wrong' | 'slowed') {
  return html`<!doctype html>
<html lang="${lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${trouble && `${signIn.notSignedIn} · `}${signIn.title} · group-sync-bridge</title>
<style>${raw(STYLE)}</style>
</head>
<body>
<main>
<h1>${signIn.title}</h1>
<p class="quiet">${signIn.where}</p>
${trouble && html`<p class="bad" role="alert" id="trouble">${signIn[trouble]}</p>`}
<form method="post" action="/signin">
<input type="hidden" name="to" value="${to}">
<label for="token">${signIn.token}</label>
<input type="password" id="token" name="token" required autofocus autocomplete="current-password" aria-describedby="${trouble && 'trouble '}where"${trouble === 'wrong' && raw(' aria-invalid="true"')}>
<button type="submit">${signIn.title}</button>
</form>
<p class="quiet" id="where">${signIn.hint}</p>
</main>
</body>
</html>`;
}
