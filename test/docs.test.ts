import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { connectors } from '../connectors/index.ts';
import { parseConfig } from '../src/config/load.ts';
import { configSchema } from '../src/config/schema.ts';
import { optionTable } from './reference.ts';

const documents = [
  'README.md',
  ...globSync('connectors/*/README.md'),
  ...globSync('{docs,observability}/**/*.md'),
  ...globSync('examples/*.md'),
].sort();

describe.each(connectors.map(({ kind, options }) => ({ kind, options })))(
  'connectors/$kind/README.md',
  ({ kind, options }) => {
    const file = `connectors/${kind}/README.md`;

    test('its table of options is that of the schema (UPDATE_DOCS=1 npm test -- test/docs.test.ts writes it)', () => {
      const text = readFileSync(file, 'utf8');
      const wanted = text.replace(
        /(<!-- options -->\n)[\s\S]*?(<!-- \/options -->)/,
        (_, start, end) => `${start}\n${optionTable(options)}\n\n${end}`,
      );
      if (process.env.UPDATE_DOCS === '1') writeFileSync(file, wanted);
      expect(text).toContain('<!-- options -->');
      expect(readFileSync(file, 'utf8')).toBe(wanted);
    });
  },
);

/** Each block as it stands in the file; what is left out of an example is filled in so that it can be loaded. */
const blocks = documents.flatMap((file) =>
  [...readFileSync(file, 'utf8').matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(([, yaml = ''], index) => ({
    file,
    index,
    yaml,
  })),
);

describe('every YAML block of the documents can be loaded', () => {
  test.each(blocks)('$file, block $index', ({ file, yaml }) => {
    const app = /^app:/m.test(yaml) ? '' : 'app: { sdkAppId: 1 }\n';
    const rest = /^connectors:/m.test(yaml) ? '' : 'connectors: { audit-file: { kind: file, path: x } }\n';
    const env = { SDK_APP_ID: '1400701118', CALLBACK_TOKEN: 'token', TENCENT_SECRET_KEY: 'key' };
    const result = parseConfig(`${app}${rest}${yaml}`, { file, env, schema: configSchema });
    expect(result.ok ? [] : result.problems).toEqual([]);
  });
});

describe('every command and link of the documents leads somewhere', () => {
  const scripts = Object.keys(JSON.parse(readFileSync('package.json', 'utf8')).scripts);
  const commandLine = readFileSync('src/cli.ts', 'utf8');

  test.each(documents)('%s', (file) => {
    const text = readFileSync(file, 'utf8');
    for (const [, script = ''] of text.matchAll(/npm run (?:--silent )?([\w:-]+)/g))
      expect(scripts, `npm run ${script}`).toContain(script);
    for (const [, command = ''] of text.matchAll(/npm run bridge -- ([a-z-]+)/g))
      expect(commandLine).toContain(`.command('${command}')`);
    for (const [, link = ''] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
      expect(existsSync(join(dirname(file), link)), `${file} links to ${link}`).toBe(true);
    }
  });
});
