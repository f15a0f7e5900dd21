/** A real Chromium out of an npm package: nothing is downloaded, nothing of the machine is needed. */
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import chromiumPackage from '@sparticuz/chromium';
import { type Browser, chromium } from 'playwright-core';

/** Unpacked once a version, beside other temporary files, and moved into place whole: another process may be unpacking, too. */
async function unpacked(): Promise<string> {
  const manifest = new URL('../../node_modules/@sparticuz/chromium/package.json', import.meta.url);
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  const home = join(tmpdir(), `group-sync-bridge-chromium-${version}`);
  if (existsSync(home)) return home;
  const fresh = mkdtempSync(join(tmpdir(), 'group-sync-bridge-chromium-'));
  const before = process.env.TMPDIR;
  process.env.TMPDIR = fresh;
  // The libraries of its usual home, for systems that lack them (nss and the like).
  const runtime = process.env.AWS_LAMBDA_JS_RUNTIME;
  process.env.AWS_LAMBDA_JS_RUNTIME = 'nodejs24.x';
  try {
    await chromiumPackage.executablePath();
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    if (runtime === undefined) delete process.env.AWS_LAMBDA_JS_RUNTIME;
    else process.env.AWS_LAMBDA_JS_RUNTIME = runtime;
  }
  try {
    renameSync(fresh, home);
  } catch {
    // another process was quicker
    rmSync(fresh, { recursive: true, force: true });
  }
  return home;
}

export async function launchBrowser(): Promise<Browser> {
  const home = await unpacked();
  const options = {
    executablePath: join(home, 'chromium'),
    chromiumSandbox: false,
    args: [
      '--no-zygote',
      '--font-render-hinting=none',
      '--use-gl=angle',
      '--use-angle=swiftshader',
      '--in-process-gpu',
    ],
  };
  try {
    return await chromium.launch(options);
  } catch {
    // Not all of its libraries are here: those of the package are taken.
    const libraries = join(home, 'al2023', 'lib');
    return chromium.launch({
      ...options,
      env: { ...process.env, LD_LIBRARY_PATH: libraries } as Record<string, string>,
    });
  }
}
