/** Each page of the console in each language, light, dark and on a phone: a picture to look at, and what can be told without looking. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { barriers, live, stickingOut } from './watched.ts';

export const LANGUAGES = ['en-US', 'ja-JP', 'zh-CN'] as const;

export const LOOKS = {
  light: { viewport: { width: 1280, height: 1000 }, colorScheme: 'light' },
  dark: { viewport: { width: 1280, height: 1000 }, colorScheme: 'dark' },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: 'light', deviceScaleFactor: 2 },
} as const satisfies Record<string, BrowserContextOptions>;

export interface Picture {
  readonly name: string;
  readonly path: string;
  /** Opens what is to be seen, by selectors: words differ. */
  ready?(page: Page): Promise<void>;
}

const click =
  (selector: string) =>
  (page: Page): Promise<void> =>
    page.locator(selector).first().click();

function picturesOf(groupId: string, seq: number): Picture[] {
  const id = encodeURIComponent(groupId);
  return [
    { name: 'overview', path: '/' },
    { name: 'figures', path: '/', ready: click('#hour-table > summary') },
    { name: 'replay', path: '/', ready: click('#replay-group-index > summary') },
    { name: 'notice', path: '/?notice=invalid' },
    { name: 'events', path: '/events' },
    { name: 'events-none', path: '/events?operator=nobody&field=name' },
    { name: 'event', path: `/event?id=${seq}` },
    { name: 'groups', path: '/groups' },
    { name: 'groups-found', path: '/groups?search=a' },
    { name: 'group', path: `/group?id=${id}` },
    { name: 'group-unknown', path: '/group?id=none' },
    { name: 'causes', path: '/dead-letters', ready: click('summary.grave') },
    {
      name: 'letters',
      path: '/dead-letters?connector=search-index&after=1',
      ready: click('tbody summary.grave'),
    },
    { name: 'quarantine', path: '/quarantine', ready: click('[id$="-body"] > summary') },
    { name: 'reconcile', path: '/reconcile', ready: click('#reconcile-start > summary') },
    { name: 'whole', path: `/whole?group=${id}` },
  ];
}

/** Returns what is wrong, a line each: barriers that axe finds, what sticks out, what is cut off. */
export async function lookAtAll(browser: Browser, admin: string, folder: string, groupId: string, seq: number) {
  const complaints: string[] = [];
  for (const locale of LANGUAGES) {
    for (const [look, options] of Object.entries(LOOKS)) {
      const context = await browser.newContext({ ...options, deviceScaleFactor: 1, locale });
      const page = await context.newPage();
      for (const { name, path, ready } of picturesOf(groupId, seq)) {
        await page.goto(admin + path);
        await live(page);
        await ready?.(page);
        const file = join(folder, locale, `${name}-${look}.png`);
        mkdirSync(join(folder, locale), { recursive: true });
        await page.screenshot({ path: file, fullPage: true });
        const found = [...(await barriers(page)), ...(await stickingOut(page)), ...(await cutOff(page))];
        complaints.push(...found.map((what) => `${locale} ${name} ${look}: ${what}`));
      }
      await context.close();
    }
  }
  return complaints;
}

/** Returns what hides a part of its text, beside what is for screen readers alone; the verdict at the top of a page may, since the overview has all of it. */
function cutOff(page: Page): Promise<string[]> {
  return page.evaluate(`[...document.querySelectorAll('body *:not(.verdict, .verdict *, .aside, .skip, svg *)')]
    .filter((one) => one.clientWidth > 1 && getComputedStyle(one).overflowX === 'hidden' && one.scrollWidth > one.clientWidth + 1)
    .map((one) => 'cut off: ' + one.outerHTML.slice(0, 200))`);
}
