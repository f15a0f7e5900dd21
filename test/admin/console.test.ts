import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import { signOf } from '../../src/intake/authentication.ts';
import { launchBrowser } from '../browser/browser.ts';
import { barriers, expectNoOverflow, live, openWatched } from '../browser/watched.ts';
import { freePort } from '../servers/port.ts';
import { eventually, getDocument } from '../servers/readback.ts';
import {
  type BridgeHome,
  type BridgeProcess,
  bridgeHome,
  spawnBridge,
  startBridgeProcess,
} from '../support/bridge.process.ts';
import { body, OK, search } from '../support/callbacks.ts';
import { IDENTIFIER, SECRET_KEY, startVendor } from '../vendor/stand-in.ts';

const brokers = inject('kafkaBrokers');
const elasticsearchUrl = inject('elasticsearchUrl');
const skip = brokers === '' || elasticsearchUrl === '' ? ' (skipped: no Kafka or Elasticsearch in this run)' : '';

const TOKEN = 'xxxxyyyy';

let browser: Browser;
beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(() => browser.close());

const signed = (): string => {
  const RequestTime = String(Math.floor(Date.now() / 1000));
  return search({ Sign: signOf(TOKEN, RequestTime), RequestTime });
};

/** A bridge for the tests of one block, with quarantine on. */
function bridgeOf(connectors: (folder: string) => Record<string, unknown>) {
  let home: BridgeHome;
  let bridge: BridgeProcess;
  beforeAll(async () => {
    home = bridgeHome(connectors, { app: { sdkAppId: '1400701118', callbackTokens: [TOKEN] } });
    bridge = await spawnBridge(home);
  });
  afterAll(async () => {
    await bridge.end('SIGTERM');
    home.remove();
  });
  return {
    home: () => home,
    admin: () => bridge.adminUrl,
    /** One callback that is refused: it is not signed. */
    unsigned: () => bridge.post({ search: search(), body: body() }),
    /** One change, answered OK; fields as in callbacks.ts. */
    async change(fields: Record<string, unknown>): Promise<void> {
      expect(await bridge.post({ search: signed(), body: body(fields) })).toEqual(OK);
    },
  };
}

const link = (admin: string, path: string, query: Record<string, string>): string =>
  `${admin}${path}?${new URLSearchParams(query)}`;

/** Returns what stands on a page in English, beside what is data: two words at least, in text or in attributes. */
const englishIn = (page: Page): Promise<string[]> =>
  page.evaluate(`(() => {
    const shown = document.documentElement.cloneNode(true);
    for (const data of shown.querySelectorAll('code, pre, bdi, [lang=en], script')) data.remove();
    const texts = [shown.textContent];
    for (const one of shown.querySelectorAll('*'))
      for (const name of ['aria-label', 'title', 'placeholder', 'data-head', 'data-texts']) texts.push(one.getAttribute(name) ?? '');
    return texts.flatMap((text) => text.match(/[a-z]{2,} [a-z]{2,}/g) ?? []);
  })()`);

const row = (page: Page, text: string) => page.locator('tbody tr', { hasText: text });

describe.skipIf(skip !== '')(`a day of an operator, on real Kafka and Elasticsearch${skip}`, () => {
  const index = `test-${randomUUID()}`;
  const bridge = bridgeOf((folder) => ({
    'group-events': { kind: 'kafka', brokers: [brokers], topic: `test.${randomUUID()}` },
    'group-index': { kind: 'elasticsearch', nodes: [elasticsearchUrl], index },
    'audit-file': { kind: 'file', path: join(folder, 'events.ndjson') },
  }));
  const es = (path: string, init: RequestInit) =>
    fetch(`${elasticsearchUrl}/${index}${path}`, { ...init, headers: { 'content-type': 'application/json' } });
  beforeAll(async () => {
    // Somebody's own index: it takes no notification that is not a number.
    const mappings = {
      properties: { notification: { type: 'integer' }, versions: { type: 'object', enabled: false } },
    };
    const created = await es('', {
      method: 'PUT',
      body: JSON.stringify({ settings: { number_of_replicas: 0 }, mappings }),
    });
    expect(created.status).toBe(200);
  });
  afterAll(() => es('', { method: 'DELETE' }));

  test('a callback shows by itself; what the reader opened, selected and typed stays', async () => {
    const { page, complaints } = await openWatched(browser);
    await page.goto(bridge.admin());
    await live(page);
    await expect.poll(() => page.getByText('Nothing has been recorded yet').count()).toBe(1);
    await page.getByText('The same in figures').click();
    await page.evaluate('window.stayed = document.querySelector("h2")');
    await bridge.change({ GroupId: '@TGS#LIVE', Name: 'before', EventTime: 1_700_000_000_000 });
    await page.locator('#e-1').waitFor();
    const replay = page.locator('#replay-audit-file');
    await replay.locator('summary').click();
    await replay.getByRole('spinbutton', { name: 'Seq' }).fill('1');
    await page.evaluate('getSelection().selectAllChildren(document.querySelector("#e-1 td"))');
    const selected = await page.evaluate('String(getSelection())');
    await page.getByRole('button', { name: 'Pause group-events' }).focus();
    await bridge.change({
      GroupId: '@TGS#LIVE',
      Name: 'after',
      EventTime: 1_700_000_001_000,
      Operator_Account: 'mei.lin',
    });
    await page.locator('#e-2').waitFor();
    expect(await page.evaluate('String(getSelection())')).toBe(selected);
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Pause group-events');
    expect(await page.locator('#hour-table').getAttribute('open')).not.toBeNull();
    await expect.poll(() => replay.getByRole('spinbutton').getAttribute('placeholder')).toBe('2');
    expect(await replay.getAttribute('open')).not.toBeNull();
    expect(await replay.getByRole('spinbutton').inputValue()).toBe('1');
    expect(await replay.getByLabel('a seq').isChecked()).toBe(true);
    // It is the same page: nothing was loaded again.
    expect(await page.evaluate('window.stayed === document.querySelector("h2")')).toBe(true);
    await expect.poll(() => page.locator('#connector-group-index').textContent()).toMatch(/In step/);
    await expect.poll(() => page.locator('#hour-table').textContent(), { timeout: 30_000 }).toMatch(/recorded/);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test('a group is found by a part of its name; its history tells who, when, before and after', async () => {
    const GroupId = '@TGS#STORY';
    await bridge.change({ GroupId, Name: 'Équipe 东方', EventTime: 1_700_000_000_000, Operator_Account: 'leckie' });
    await bridge.change({ GroupId, Name: 'Équipe 西方', EventTime: 1_700_000_090_000, Operator_Account: 'mei.lin' });
    await bridge.change({ GroupId, Name: 'too late', EventTime: 1_700_000_030_000, Operator_Account: 'slow' });
    const { page, complaints } = await openWatched(browser);
    await page.goto(bridge.admin());
    await page.getByRole('link', { name: 'Groups' }).click();
    await page.getByLabel('Id or name').fill('équipe 西');
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'Équipe 西方' }).click();
    expect(await page.locator('h1').textContent()).toBe('Équipe 西方');
    const changes = page
      .locator('article', { has: page.getByRole('heading', { name: 'name', exact: true }) })
      .locator('ol > li');
    const told = (await changes.allTextContents()).map((text) => text.replaceAll(/\s+/g, ' '));
    expect(told).toHaveLength(3);
    expect(told[0]).toMatch(
      /22:13:50 slow .*arrived late, superseded by the change of .*22:14:50.*before: Équipe 西方.*after: too late/,
    );
    expect(told[1]).toMatch(/22:14:50 mei\.lin .*before: Équipe 东方.*after: Équipe 西方/);
    expect(told[2]).toMatch(/22:13:20 leckie .*before: nothing known.*after: Équipe 东方/);
    const copy = (connector: string) => page.locator(`#copy-${connector}`).textContent();
    await expect.poll(() => copy('group-index')).toContain(`In step${index}/_doc/${GroupId}`);
    await expect.poll(() => copy('group-events')).toMatch(/In step.*test\..*\/\d+@\d+/);
    // Changed by hand: the page says so by itself.
    await es(`/_update/${encodeURIComponent(GroupId)}`, {
      method: 'POST',
      body: JSON.stringify({ doc: { name: 'by hand' } }),
    });
    await expect.poll(() => copy('group-index')).toMatch(/Differs.*Differs in name/);
    await page.getByRole('button', { name: 'Write this group again' }).click();
    await page.getByText('The group is being written again to each copy that should hold it.').waitFor();
    await expect.poll(() => copy('group-index'), { timeout: 20_000 }).toContain('In step');
    // One box on every page finds groups and events.
    const find = async (text: string): Promise<void> => {
      await page.getByLabel('Find a group or an event').fill(text);
      await page.keyboard.press('Enter');
    };
    await find('1');
    await expect.poll(() => page.url()).toContain('/event?id=1');
    await find('équipe');
    await expect.poll(() => page.url()).toContain('/groups?search=');
    await page.getByRole('link', { name: 'Équipe 西方' }).waitFor();
    await find(GroupId);
    await expect.poll(() => page.url()).toContain('/group?id=');
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test('pause and resume by the keyboard alone; the notice is read out once', async () => {
    const { page, complaints } = await openWatched(browser);
    await page.goto(bridge.admin());
    const connector = page.locator('#connector-audit-file');
    await page.getByRole('button', { name: 'Pause audit-file' }).press('Enter');
    const notice = page.getByRole('status').filter({ hasText: 'Paused.' });
    await notice.waitFor();
    expect(await page.evaluate('document.activeElement.id')).toBe('notice');
    expect(new URL(page.url()).search).toBe('');
    await expect.poll(() => connector.textContent()).toMatch(/Paused/);
    await bridge.change({ GroupId: '@TGS#PAUSED', Name: 'held back' });
    await expect.poll(() => connector.textContent()).toMatch(/Behind1 event, for \d+ s/);
    await page.reload();
    expect(await notice.count()).toBe(0);
    await page.getByRole('button', { name: 'Resume audit-file' }).press('Enter');
    await expect.poll(() => connector.textContent()).toMatch(/In step/);
    await expect.poll(() => readFile(join(bridge.home().folder, 'events.ndjson'), 'utf8')).toContain('held back');
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test('a dead letter shows with its reason, asks before it is discarded, and is retried', async () => {
    const GroupId = '@TGS#DEAD';
    await bridge.change({ GroupId, Name: undefined, Notification: 'not a number' });
    const { page, complaints } = await openWatched(browser);
    await page.goto(bridge.admin());
    const connector = page.locator('#connector-group-index');
    await connector.getByRole('link', { name: '1 to review' }).waitFor();
    // As the verdict above it says.
    expect(await connector.locator('.badge').first().textContent()).toBe('Dead letters');
    await page.goto(link(bridge.admin(), '/dead-letters', { connector: 'group-index', cause: 'of-none' }));
    await page.getByText('group-index has no dead letter of this cause').waitFor();
    await page.goto(link(bridge.admin(), '/dead-letters', { connector: 'group-index' }));
    const letter = row(page, GroupId);
    expect(await letter.textContent()).toMatch(
      /notification.*integer.*event-refused.*compare the document with the mapping/s,
    );
    await letter.getByText('Discard…').click();
    await letter.getByRole('button', { name: /Discard 1 for good/ }).waitFor();
    await page.keyboard.press('Escape');
    await expect.poll(() => letter.getByRole('button', { name: /Discard 1 for good/ }).isVisible()).toBe(false);
    // Not mended: refused once more, and the page says so by itself.
    const givenUp = await letter.locator('time').getAttribute('datetime');
    await letter.getByRole('button', { name: /Retry/ }).click();
    await page.getByText('1 dead letter will be retried; the page shows the result.').waitFor();
    await expect.poll(() => letter.locator('time').getAttribute('datetime')).not.toBe(givenUp);

    // A later number makes the document one that the index takes, whatever the dead event said.
    await bridge.change({ GroupId, Name: undefined, Notification: '7', EventTime: 1_700_000_009_000 });
    await eventually(async () => {
      expect(await getDocument(elasticsearchUrl, index, GroupId)).toMatchObject({ notification: '7' });
    }, 'the later change');
    await page.getByRole('button', { name: 'Retry all' }).click();
    await page.getByText('group-index has no dead letters.').waitFor();
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test('the replay of a connector is asked for in a form', async () => {
    const { page, complaints } = await openWatched(browser);
    await page.goto(bridge.admin());
    const connector = page.locator('#connector-group-index');
    await connector.getByText('Replay…').click();
    await connector.getByText('the merged state of every group').click();
    await connector.getByRole('button', { name: 'Replay', exact: true }).click();
    await page.getByText(/groups will be resynced to the destination/).waitFor();
    await expect.poll(() => connector.textContent()).toMatch(/Groups resynced: .* of \d+/);
    const audit = page.locator('#connector-audit-file');
    await audit.getByText('Replay…').click();
    expect(await audit.getByText('the merged state of every group').count()).toBe(0);
    await audit.getByRole('spinbutton', { name: 'Seq' }).fill('1');
    await audit.getByRole('button', { name: 'Replay', exact: true }).click();
    await page.getByText(/\d+ events will be delivered again/).waitFor();
    expect(complaints).toEqual([]);
    await page.context().close();
  });
});

/** Each tries to become more than text: in an element, an attribute, a link, a style, by reordering what stands around it. */
const HOSTILE = {
  element: '<img src=x onerror=attacked("img")><script>attacked("script")</script>',
  attribute: '"><svg onload=attacked("svg")> \' onmouseover=attacked("hover") x=\'',
  template: '</title></textarea></details><a id=main href=javascript:attacked("link")>{{7*7}}</a>',
  bidi: '\u202eLRO \u2066isolate\u0000nul\u200bzero\ud800half\u001b[31mred',
};

describe('whatever the callbacks hold', () => {
  const bridge = bridgeOf((folder) => ({
    'audit-file': { kind: 'file', path: join(folder, 'events.ndjson') },
    down: { kind: 'kafka', brokers: '127.0.0.1:1', topic: 'none' },
  }));
  const PATHS = [
    '/',
    '/events',
    '/events?operator=nobody',
    '/event?id=none',
    '/groups',
    '/groups?order=lately',
    '/dead-letters',
    '/quarantine',
    '/reconcile',
  ];
  const groupId = `@TGS#${HOSTILE.attribute}`.slice(0, 40);

  /** The same at each call, so recorded once. */
  async function hostileCallbacks(): Promise<void> {
    await bridge.change({
      GroupId: groupId,
      Name: HOSTILE.element,
      Introduction: HOSTILE.attribute,
      Notification: HOSTILE.template.repeat(20),
      FaceUrl: 'javascript:attacked("url")',
      Operator_Account: HOSTILE.element,
      Type: HOSTILE.attribute,
      UserDefinedDataList: [{ Key: HOSTILE.element, Value: HOSTILE.bidi }],
      Unknown: HOSTILE.element,
    });
    await bridge.change({ GroupId: '@TGS#BIDI', Name: HOSTILE.bidi, Operator_Account: HOSTILE.bidi });
  }

  test('empty, the pages say what will stand there, without a barrier', async () => {
    const { page, complaints } = await openWatched(browser);
    for (const path of PATHS) {
      await page.goto(bridge.admin() + path);
      await page.locator('main').waitFor();
      expect(await barriers(page), path).toEqual([]);
    }
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test('in the language of whoever looks, with nothing left in English, live parts included', async () => {
    const { page, complaints } = await openWatched(browser, { locale: 'zh-CN' });
    for (const path of PATHS) {
      const response = await page.goto(bridge.admin() + path);
      expect(response?.headers()).toMatchObject({ vary: 'Accept-Language' });
      expect(await page.locator('html').getAttribute('lang')).toBe('zh-CN');
      expect(await englishIn(page), path).toEqual([]);
      if (['/events', '/quarantine'].includes(path)) expect(await barriers(page), path).toEqual([]);
    }
    await page.goto(`${bridge.admin()}/events`);
    await live(page);
    expect(await page.locator('#liveness').textContent()).toBe('实时更新中');
    await bridge.change({ GroupId: '@TGS#ZH', Name: '群名称', EventTime: 1_670_574_414_123 });
    await row(page, '@TGS#ZH').waitFor();
    expect(await row(page, '@TGS#ZH').textContent()).toMatch(/2022\/12\/09 08:26:54.*修改/s);
    await expect.poll(() => page.locator('.verdict').textContent()).toMatch(/回调记录正常.*down 已有 .*无法连接/s);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test('nothing of a callback becomes markup or a script; what cannot be seen is made visible', async () => {
    await hostileCallbacks();
    // Kept raw: the introduction is no text.
    await bridge.change({ GroupId: groupId, Introduction: 7, Name: HOSTILE.element });

    const { page, complaints } = await openWatched(browser);
    const search = (text: string): string => link(bridge.admin(), '/groups', { search: text });
    const pages = [
      ...PATHS.map((path) => bridge.admin() + path),
      link(bridge.admin(), '/group', { id: groupId }),
      link(bridge.admin(), '/group', { id: '@TGS#BIDI' }),
      link(bridge.admin(), '/events', { group: groupId }),
      ...Object.values(HOSTILE).map(search),
      link(bridge.admin(), '/dead-letters', { connector: HOSTILE.element }),
      link(bridge.admin(), '/', { notice: HOSTILE.element, n: HOSTILE.attribute }),
      link(bridge.admin(), '/', { notice: '__proto__', n: '1' }),
      link(bridge.admin(), '/', { notice: 'replaying', n: '<b>1' }),
    ];
    for (const url of pages) {
      await page.goto(url);
      if (!url.includes('connector=')) await live(page);
      expect(
        await page.locator('main img, main script, main [onload], main [onmouseover], a[href^="javascript"]').count(),
        url,
      ).toBe(0);
      expect(await page.locator('[id="main"]').count(), url).toBe(1);
    }
    await page.goto(link(bridge.admin(), '/group', { id: groupId }));
    expect(await page.locator('h1').textContent()).toBe(HOSTILE.element);
    expect(await page.title()).toBe(`${HOSTILE.element} · group-sync-bridge`);
    // Live parts are put in place by the script: the same holds there.
    await live(page);
    await bridge.change({ GroupId: groupId, Name: `${HOSTILE.element} again`, EventTime: 1_700_000_001_000 });
    await expect.poll(() => page.locator('h1').textContent()).toBe(`${HOSTILE.element} again`);
    await page.locator('summary').first().click();

    await page.goto(link(bridge.admin(), '/group', { id: '@TGS#BIDI' }));
    expect(await page.locator('h1').textContent()).toBe(
      'U+202ELRO U+2066isolateU+0000nulU+200BzeroU+D800halfU+001B[31mred',
    );
    expect(await page.locator('h1 .unseen').first().getAttribute('title')).toBe('U+202E right-to-left override');
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test('the quarantine shows the raw body and asks before it discards', async () => {
    const { page, complaints } = await openWatched(browser);
    await page.goto(bridge.admin());
    await page.locator('a.alert[href="/quarantine"]', { hasText: '1 to review' }).click();
    const kept = page.getByRole('article', { name: 'Callback 1' });
    expect(await kept.textContent()).toContain('Introduction: a text is expected');
    await kept.getByText(/^Body/).click();
    expect(await kept.locator('.block').textContent()).toBe(
      body({ GroupId: groupId, Introduction: 7, Name: HOSTILE.element }),
    );
    await page.getByRole('button', { name: 'Map again' }).click();
    await page.getByText('None could be mapped').waitFor();
    await kept.getByText('Discard…').click();
    await kept.getByRole('button', { name: 'Discard callback 1' }).click();
    await page.getByText('1 callback discarded.').waitFor();
    await page.getByText('The quarantine is empty. Callbacks are kept here only').waitFor();
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test.each([
    ['light', 1280],
    ['dark', 360],
  ] as const)('no serious barrier and nothing that sticks out: %s, %i pixels wide', async (colorScheme, width) => {
    await hostileCallbacks();
    await bridge.change({
      GroupId: '@TGS#LONG',
      Name: 'W'.repeat(400),
      Introduction: 'long '.repeat(200),
      EventTime: 1_700_000_000_000 + width,
    });
    const { page, complaints } = await openWatched(browser, { colorScheme, viewport: { width, height: 800 } });
    const group = link(bridge.admin(), '/group', { id: groupId });
    const long = link(bridge.admin(), '/group', { id: '@TGS#LONG' });
    // Something is in quarantine, so that there is something to discard.
    await bridge.change({ GroupId: groupId, Introduction: 7, Name: String(width) });
    const asking = new Map<string, number>();
    for (const url of [
      ...PATHS.map((path) => bridge.admin() + path),
      group,
      long,
      `${bridge.admin()}/event?id=1`,
      `${bridge.admin()}/?notice=invalid`,
    ]) {
      await page.goto(url);
      await live(page);
      await page.evaluate('for (const all of document.querySelectorAll("details:not(.ask)")) all.open = true');
      expect(await barriers(page), url).toEqual([]);
      await expectNoOverflow(page);
      for (const ask of await page.locator('.ask > summary').all()) {
        await ask.click();
        await expectNoOverflow(page);
        expect(await barriers(page, '.ask[open]'), `${url} asking`).toEqual([]);
        await page.keyboard.press('Escape');
        const { pathname } = new URL(url);
        asking.set(pathname, (asking.get(pathname) ?? 0) + 1);
      }
    }
    expect([...asking.keys()].sort()).toEqual(['/', '/quarantine']);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test('a destination that is down says why, what to do, and when it is tried again', async () => {
    const { page, complaints } = await openWatched(browser);
    await page.goto(bridge.admin());
    await live(page);
    const connector = page.locator('#connector-down');
    await expect
      .poll(() => connector.textContent())
      .toMatch(
        /Unreachable.*Behind\d+ events, for .*destination-unreachable.*is Kafka running.*Setting connectors\.down\.brokers.*next try (in \d+ s|now)/s,
      );
    // So does the door.
    await bridge.unsigned();
    await expect
      .poll(() => page.locator('#part-refusals').textContent())
      .toMatch(/1 × sign-missing from .*127\.0\.0\.1, last .*Sign is missing.*switch authentication on/s);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test('an event is searched for and followed to each copy; groups come by the page', async () => {
    for (let n = 0; n < 101; n++)
      await bridge.change({ GroupId: `@TGS#P${n}`, Name: 'paged', Operator_Account: 'pat' });
    const { page, complaints } = await openWatched(browser);
    await page.goto(`${bridge.admin()}/events`);
    await page.getByLabel('By', { exact: true }).fill('pat');
    await page.getByLabel('Group id').fill('p100');
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.getByRole('link', { name: 'All events' }).waitFor();
    expect(await page.locator('tbody tr').count()).toBe(1);
    await row(page, '@TGS#P100').getByRole('rowheader').getByRole('link').click();
    await page.getByRole('heading', { name: /^Event \d+: changed$/ }).waitFor();
    await expect
      .poll(() => row(page, 'audit-file').textContent())
      .toMatch(/Delivered.*events\.ndjson:\d+.*1 attempt, .* ago/s);
    expect(await row(page, 'down').textContent()).toMatch(/Behind.*is Kafka running/s);
    await page.goto(`${bridge.admin()}/groups?search=paged`);
    await page.getByText('100 groups of those found.').waitFor();
    await page.getByRole('link', { name: 'More groups' }).click();
    expect(await page.locator('tbody tr').count()).toBe(1);
    await page.goto(`${bridge.admin()}/groups`);
    await page.getByText(/^100 groups of 1\d\d\.$/).waitFor();
    await page.getByRole('link', { name: 'Groups, changed lately' }).click();
    await page.getByText(/in the newest \d+ events/).waitFor();
    expect(await page.locator('tbody tr').first().textContent()).toContain('@TGS#P100');
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test('without JavaScript: the pages by reloading, the actions by plain forms', async () => {
    const { page, complaints } = await openWatched(browser, { javaScriptEnabled: false });
    await page.goto(bridge.admin());
    await page.getByText('Reload the page for newer figures').waitFor();
    await page.getByRole('button', { name: 'Pause audit-file' }).click();
    await page.getByText('Paused. Callbacks are still recorded').waitFor();
    await expect
      .poll(async () => {
        await page.goto(bridge.admin());
        return page.locator('#connector-audit-file').textContent();
      })
      .toMatch(/Paused/);
    await page.locator('#connector-audit-file').getByText('Replay…').click();
    await page.locator('#connector-audit-file').getByLabel('the beginning').check();
    await page.locator('#connector-audit-file').getByRole('button', { name: 'Replay', exact: true }).click();
    await page.getByText(/events will be delivered again/).waitFor();
    await page.getByRole('button', { name: 'Resume audit-file' }).click();
    await page.getByText('Resumed.').waitFor();
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test('a strict policy on each page; nothing of another origin may act; a link leads nowhere else', async () => {
    const page = await fetch(bridge.admin());
    expect(page.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; style-src 'self'; script-src 'self';/,
    );
    expect(page.headers.get('content-security-policy')).not.toContain('unsafe');
    expect(Object.fromEntries(page.headers)).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'same-origin',
      'cache-control': 'no-store',
    });
    const pause = (headers: Record<string, string>, form: Record<string, string> = {}) =>
      fetch(`${bridge.admin()}/actions/pause`, {
        method: 'POST',
        redirect: 'manual',
        body: new URLSearchParams({ connector: 'nobody', ...form }),
        headers,
      });
    for (const headers of [
      {},
      { origin: 'http://evil.example' },
      { origin: 'null' },
      { origin: bridge.admin(), 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ]) {
      expect((await pause(headers as Record<string, string>)).status, JSON.stringify(headers)).toBe(403);
    }
    const own = { origin: bridge.admin() };
    const locations = [
      '/events?group=a',
      'http://evil.example/',
      '//evil.example',
      '/\\evil.example',
      '/api/status',
      'javascript:0',
    ].map(async (back) => (await pause(own, { back })).headers.get('location'));
    expect(await Promise.all(locations)).toEqual([
      '/events?group=a&notice=connector-unknown',
      ...Array.from({ length: 5 }, () => '/?notice=connector-unknown'),
    ]);
  });
});

describe('reconcile', () => {
  test('it is started, run dry and shown in the console, with what differed', async () => {
    const vendor = await startVendor({ limits: { list: 100_000, groups: 100_000 } });
    onTestFinished(() => vendor.stop());
    for (const GroupId of ['@TGS#R1', '@TGS#R2', '@TGS#R3']) vendor.create({ GroupId, Name: `of ${GroupId}` });
    const api = { baseUrl: vendor.url, identifier: IDENTIFIER, secretKey: SECRET_KEY };
    const home = bridgeHome((folder) => ({ file: { kind: 'file', path: join(folder, 'events.ndjson') } }), {
      reconcile: { api, groupTypes: ['Public'] },
    });
    onTestFinished(home.remove);
    const bridge = await startBridgeProcess(home);
    const { page, complaints } = await openWatched(browser);
    await page.goto(`${bridge.adminUrl}/reconcile`);
    await page.getByText('It has not run yet.').waitFor();
    await page.getByRole('button', { name: /^Dry run/ }).click();
    await page.getByText('Reconcile has started.').waitFor();
    const run = page.locator('#part-run');
    await expect
      .poll(() => run.textContent())
      .toMatch(/The last run, a dry run.*Ended.*Read3.*In step0.*Differ3.*Gone0.*Failed0/s);
    await expect
      .poll(() => page.locator('#part-findings').textContent())
      .toMatch(/of @TGS#R1.*Mended.*namenothing known → of @TGS#R1/s);
    await page.locator('summary', { hasText: 'Start' }).click();
    await page.getByText(/3 groups will be mended, and 0 of 0 known destroyed/).waitFor();
    await page.getByRole('button', { name: 'Read, and mend what differs' }).click();
    await expect
      .poll(() => run.textContent())
      .toMatch(/The last run(?!, a dry run).*Mended3.*What differed, by field.*new/s);
    await page.getByRole('link', { name: 'Overview' }).click();
    await expect.poll(() => page.locator('#part-stores').textContent()).toMatch(/3 groups mended, 0 in step/);
    // Who mended is never a person.
    await page.goto(`${bridge.adminUrl}/group?id=${encodeURIComponent('@TGS#R1')}`);
    await expect.poll(() => page.locator('#part-state').textContent()).toMatch(/By\s*reconcile/);
    vendor.destroy('@TGS#R1');
    expect(await bridge.post(vendor.change('@TGS#R2', { Name: 'by a person' }))).toMatchObject({ status: 200 });
    vendor.destroy('@TGS#R2');
    // A read is dated to the second, and the callback is to be older.
    const readBy = vendor.now();
    await expect.poll(() => vendor.now(), { timeout: 5_000 }).toBeGreaterThan(readBy + 2_000);
    await page.goto(`${bridge.adminUrl}/reconcile`);
    await page.locator('summary', { hasText: 'Start' }).click();
    await page.getByRole('button', { name: 'Read, and mend what differs' }).click();
    await expect.poll(() => run.textContent(), { timeout: 10_000 }).toMatch(/Destroyed2 of 3 known/);
    await page.locator('summary', { hasText: 'Start' }).click();
    await page.getByText('No dry run since').waitFor();
    await page.goto(`${bridge.adminUrl}/groups`);
    for (const groupId of ['@TGS#R1', '@TGS#R2']) {
      expect(await row(page, groupId).textContent()).toMatch(/Destroyed.*reconcile$/s);
    }
    expect(await barriers(page)).toEqual([]);
    expect(complaints).toEqual([]);
    await page.context().close();
    await bridge.end('SIGTERM');
  });
});

describe('a page that is being watched', () => {
  test('it does not hold up the end of the bridge; it says that it is cut off, and goes on with the next one', async () => {
    const port = await freePort();
    const home = bridgeHome((folder) => ({ file: { kind: 'file', path: join(folder, 'events.ndjson') } }), {
      admin: { port },
    });
    onTestFinished(home.remove);
    const first = await startBridgeProcess(home);
    const { page } = await openWatched(browser);
    await page.goto(first.adminUrl);
    await live(page);
    await first.end('SIGTERM');
    await page.locator('#liveness[data-state="lost"]').waitFor();
    expect(await page.locator('#liveness').textContent()).toContain('the bridge does not answer');
    expect(await page.locator('#lost').textContent()).toMatch(
      /The bridge does not answer\. What you see is as of \d\d:\d\d:\d\d UTC/,
    );
    await page.getByRole('button', { name: /^Pause/ }).click();
    await page.locator('#lost').getByText('Nothing was done.').waitFor();
    const second = await startBridgeProcess(home);
    await live(page);
    expect(await page.locator('#lost').isHidden()).toBe(true);
    expect(await second.post({ search: search(), body: body({ Name: 'after the restart' }) })).toEqual(OK);
    await row(page, 'after the restart').waitFor();
    await page.context().close();
    await second.end('SIGTERM');
  });

  test('there is a bound to how many are watched at once; the next one gets its place', async () => {
    const home = bridgeHome((folder) => ({ file: { kind: 'file', path: join(folder, 'events.ndjson') } }));
    onTestFinished(home.remove);
    const bridge = await startBridgeProcess(home);
    const leave = new AbortController();
    const watch = async (signal?: AbortSignal) => {
      const response = await fetch(`${bridge.adminUrl}/live?at=/events`, { ...(signal && { signal }) });
      return response.status;
    };
    const statuses: number[] = [];
    while (statuses.at(-1) !== 503 && statuses.length < 100) statuses.push(await watch(leave.signal));
    expect(statuses.slice(0, -1).every((status) => status === 200)).toBe(true);
    expect(statuses.at(-1)).toBe(503);
    // What is not streamed is served all the same.
    expect((await fetch(bridge.adminUrl)).status).toBe(200);
    leave.abort();
    await expect.poll(() => watch(AbortSignal.timeout(20_000))).toBe(200);
    await bridge.end('SIGTERM');
  });
});
