import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** The console's own files: it loads nothing else. Their links carry a digest, so that browsers may keep them for good. */
const TYPES = {
  'console.css': 'text/css; charset=utf-8',
  'console.js': 'text/javascript; charset=utf-8',
  'icon.svg': 'image/svg+xml',
} as const;

export type AssetName = keyof typeof TYPES;

export interface Asset {
  readonly name: AssetName;
  readonly type: string;
  readonly body: string;
  readonly link: string;
}

function read(name: AssetName): Asset {
  const body = readFileSync(new URL(`./assets/${name}`, import.meta.url), 'utf8');
  return { name, type: TYPES[name], body, link: `/assets/${name}?${hash('sha256', body).slice(0, 12)}` };
}

/** Read at the start. */
export const ASSETS: readonly Asset[] = (Object.keys(TYPES) as AssetName[]).map(read);

const links = new Map(ASSETS.map(({ name, link }) => [name, link]));

export function asset(name: AssetName): string {
  return links.get(name) ?? '';
}
