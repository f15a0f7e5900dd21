// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these texts are what is tested
/** Secrets with what cannot be seen are a problem wherever they come from, and are never printed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parseConfig } from '../../src/config/file.ts';
import { formatProblem } from '../../src/config/problems.ts';
import { configSchema } from '../../src/config/schema.ts';

const SECRET = 'k3yOfTheVendor';
const ADDED: Readonly<Record<string, (secret: string) => string>> = {
  'a space at its end': (secret) => `${secret} `,
  'a tab at its beginning': (secret) => `\t${secret}`,
  'a carriage return': (secret) => `${secret}\r`,
  'line ends': (secret) => `${secret}\n\n`,
  'a byte order mark': (secret) => `\ufeff${secret}`,
  'a space of no width inside': (secret) => `${secret.slice(0, 4)}\u200b${secret.slice(4)}`,
  'a no-break space': (secret) => `${secret}\u00a0`,
  'a NUL': (secret) => `${secret}\0`,
};
const QUOTED: typeof ADDED = {
  quotes: (secret) => `"${secret}"`,
  'single quotes': (secret) => `'${secret}'`,
  'typographic quotes': (secret) => `“${secret}”`,
};

const connector = (options: string) => `connectors: { c: ${options} }`;
const file = connector('{ kind: file, path: x.ndjson }');
const kafka = (rest: string) => connector(`{ kind: kafka, brokers: ["b:9092"], topic: t, ${rest} }`);
const elasticsearch = (rest: string) =>
  connector(`{ kind: elasticsearch, nodes: ["https://n:9200"], index: i, ${rest} }`);
const VENDOR: Readonly<Record<string, [path: string, yaml: (secret: string) => string]>> = {
  token: ['app.callbackTokens', (secret) => `app: { sdkAppId: 1, callbackTokens: [${secret}] }\n${file}`],
  'second token': [
    'app.callbackTokens',
    (secret) => `app: { sdkAppId: 1, callbackTokens: [good, ${secret}] }\n${file}`,
  ],
  secretKey: [
    'reconcile.api.secretKey',
    (secret) => `app: { sdkAppId: 1 }\nreconcile: { api: { secretKey: ${secret} } }\n${file}`,
  ],
  identifier: [
    'reconcile.api.identifier',
    (secret) => `app: { sdkAppId: 1 }\nreconcile: { api: { secretKey: k, identifier: ${secret} } }\n${file}`,
  ],
};
const OTHERS: typeof VENDOR = {
  'admin token': ['admin.token', (secret) => `app: { sdkAppId: 1 }\nadmin: { token: ${secret} }\n${file}`],
  'Kafka password': [
    'connectors.c.sasl.password',
    (secret) =>
      `app: { sdkAppId: 1 }\n${kafka(`tls: true, sasl: { mechanism: plain, username: u, password: ${secret} }`)}`,
  ],
  'Elasticsearch password': [
    'connectors.c.auth',
    (secret) => `app: { sdkAppId: 1 }\n${elasticsearch(`auth: { username: u, password: ${secret} }`)}`,
  ],
  'API key': ['connectors.c.auth', (secret) => `app: { sdkAppId: 1 }\n${elasticsearch(`auth: { apiKey: ${secret} }`)}`],
};

function problems(yaml: string, env: Record<string, string> = {}): string[] {
  const result = parseConfig(yaml, { file: 'c.yaml', env, schema: configSchema });
  return result.ok ? [] : result.problems.map(formatProblem);
}

const settings = [
  ...Object.entries(VENDOR).flatMap(([name, setting]) =>
    Object.entries({ ...ADDED, ...QUOTED }).map(([what, add]) => [name, what, ...setting, add] as const),
  ),
  ...Object.entries(OTHERS).flatMap(([name, setting]) =>
    Object.entries(ADDED).map(([what, add]) => [name, what, ...setting, add] as const),
  ),
];

describe('what was added to a secret is named with its setting', () => {
  test.each(settings)('%s: %s', (_, _what, path, yaml, add) => {
    // Sixteen characters at least, as an admin token has.
    const secret = add(`${SECRET}-of-16`);
    const folder = mkdtempSync(join(tmpdir(), 'secret-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const name = join(folder, 'secret');
    writeFileSync(name, secret);
    const ways: [string, Record<string, string>][] = [
      [JSON.stringify(secret).replaceAll('$', '$$'), {}],
      ['"${SECRET}"', { SECRET: secret }],
      [`"\${file:${name}}"`, {}],
    ];
    for (const [written, env] of ways) {
      const found = problems(yaml(written), env);
      expect(found, written).toHaveLength(1);
      expect(found[0]).toContain(path);
      expect(found.join()).not.toContain(SECRET);
    }
    expect(problems(yaml(`${SECRET}-of-16`))).toEqual([]);
  });
});

test('says what and where', () => {
  const yaml = (secret: string) => VENDOR.token?.[1](JSON.stringify(secret)) ?? '';
  expect(problems(yaml('x '))[0]).toMatch(/it holds a space \(U\+0020\) at its end/);
  expect(problems(yaml('\ufeffx'))[0]).toMatch(/it holds a byte order mark \(U\+FEFF\) at its beginning/);
  expect(problems(yaml('"x"'))[0]).toMatch(/remove the quotes around it/);
});

test('a password may hold what a person may type', () => {
  for (const secret of ['two words', '"quoted"', 'ümläut', '密码', 'a\'b"c']) {
    expect(problems(OTHERS['Kafka password']?.[1](JSON.stringify(secret)) ?? '')).toEqual([]);
  }
});
