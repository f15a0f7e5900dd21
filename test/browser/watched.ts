/** Pages of the console in a real browser, each watched for whatever a person would find in the developer tools. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { expect } from 'vitest';

export interface Watched {
  readonly page: Page;
  /** Console errors and warnings, exceptions, requests that failed or were answered 4xx or 5xx; but for a page of what there is not. */
  readonly complaints: readonly string[];
}

export async function openWatched(browser: Browser, options: BrowserContextOptions = {}): Promise<Watched> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    const unknown = message.location().url === page.url() && /status of 404/.test(message.text());
    if (['error', 'warning'].includes(message.type()) && !unknown) complaints.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`));
  page.on('requestfailed', (request) => {
    const error = request.failure()?.errorText ?? '';
    // A page that is left ends its stream.
    const left = new URL(request.url()).pathname === '/live' && error === 'net::ERR_ABORTED';
    if (!left) complaints.push(`request: ${request.url()} ${error}`);
  });
  page.on('response', (response) => {
    const unknown = response.status() === 404 && response.request().isNavigationRequest();
    if (response.status() >= 400 && !unknown) complaints.push(`response: ${response.url()} ${response.status()}`);
  });
  // Whatever runs that should not, says so here.
  await page.exposeFunction('attacked', (how: string) => complaints.push(`attacked: ${how}`));
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  return { page, complaints };
}

/** The page is there and gets what changes. */
export async function live(page: Page): Promise<void> {
  await page.locator('#liveness[data-state="live"]').waitFor();
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Returns what axe finds serious or critical in what the selector names, a line each. */
export async function barriers(page: Page, within = 'html'): Promise<string[]> {
  if (!(await page.evaluate('"axe" in window'))) await page.evaluate(axe);
  const found = (await page.evaluate(`axe.run(${JSON.stringify(within)}, { resultTypes: ["violations"] })`)) as {
    violations: { id: string; impact: string; help: string; nodes: { html: string; failureSummary: string }[] }[];
  };
  return found.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`));
}

/** Nothing sticks out to the side: no page needs scrolling across. */
export async function expectNoOverflow(page: Page): Promise<void> {
  expect(await stickingOut(page), page.url()).toEqual([]);
}

export function stickingOut(page: Page): Promise<string[]> {
  return page.evaluate(`(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    return [...document.querySelectorAll('body *')]
      .filter((element) => element.getBoundingClientRect().right > clientWidth)
      .map((element) => element.cloneNode(false).outerHTML);
  })()`);
}
