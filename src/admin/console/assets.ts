import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { resolve } = createRequire(import.meta.url);
const own = (name: string): URL => new URL(`./assets/${name}`, import.meta.url);

const FILES = {
  'console.css': ['text/css; charset=utf-8', own('elements.css'), own('pages.css')],
  'console.js': ['text/javascript; charset=utf-8', own('console.js')],
  'idiomorph.js': ['text/javascript; charset=utf-8', resolve('idiomorph/dist/idiomorph.min.js')],
  'icon.svg': ['image/svg+xml', own('icon.svg')],
} as const;

export const ASSETS = Object.entries(FILES).map(([name, [type, ...files]]) => {
  const body = files.map((file) => readFileSync(file, 'utf8')).join('\n');
  return { name, type, body, digest: hash('sha256', body).slice(0, 12) };
});

/** Returns the address of a file with its digest, so that browsers may cache it for ever. */
export function asset(name: keyof typeof FILES): string {
  return `/assets/${name}?${ASSETS.find((one) => one.name === name)?.digest}`;
}
