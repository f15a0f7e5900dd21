import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { resolve } = createRequire(import.meta.url);
const own = (name: string): URL => new URL(`./assets/${name}`, import.meta.url);

/** The console loads nothing else. */
const FILES = {
  'console.css': ['text/css; charset=utf-8', own('console.css')],
  'console.js': ['text/javascript; charset=utf-8', own('console.js')],
  'idiomorph.js': ['text/javascript; charset=utf-8', resolve('idiomorph/dist/idiomorph.min.js')],
  'icon.svg': ['image/svg+xml', own('icon.svg')],
} as const;

export type AssetName = keyof typeof FILES;

export interface Asset {
  readonly name: string;
  readonly type: string;
  readonly body: string;
  /** Carries a digest, so that browsers may keep the file for good. */
  readonly link: string;
}

/** Read at the start. */
const assets = new Map(
  Object.entries(FILES).map(([name, [type, file]]): [string, Asset] => {
    const body = readFileSync(file, 'utf8');
    return [name, { name, type, body, link: `/assets/${name}?${hash('sha256', body).slice(0, 12)}` }];
  }),
);

export const ASSETS: readonly Asset[] = [...assets.values()];

export function asset(name: AssetName): string {
  return assets.get(name)?.link ?? '';
}
