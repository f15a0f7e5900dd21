/** Checks the files for containers without running any: by their schemas, and by the files that they refer to. */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { DCLinter } from 'dclint';
import { DockerfileParser } from 'dockerfile-ast';
import { validate } from 'dockerfile-utils';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { parseConfig } from '../../src/config/file.ts';
import { configSchema } from '../../src/config/schema.ts';
import { bridgeHome, startBridgeProcess } from '../support/bridge.process.ts';
import { runProgram } from '../support/program.ts';
import { pythonWith } from './python.ts';

/** The problems of a configuration with these variables. */
function problemsOf(text: string, env: Readonly<Record<string, string>>): unknown[] {
  const result = parseConfig(text, { file: 'bridge.yaml', env, schema: configSchema });
  return result.ok ? [] : [...result.problems];
}

const flagsOf = (instruction: object): string[] =>
  'getFlags' in instruction && typeof instruction.getFlags === 'function' ? instruction.getFlags().map(String) : [];

describe('Dockerfile', () => {
  const text = readFileSync('Dockerfile', 'utf8');
  const instructions = DockerfileParser.parse(text)
    .getInstructions()
    .map((one) => ({ keyword: one.getKeyword(), words: [...flagsOf(one), one.getArgumentsContent() ?? ''].join(' ') }));
  const stages = instructions.flatMap(({ keyword }, index) => (keyword === 'FROM' ? [index] : []));
  const build = instructions.slice(0, stages[1]);
  const final = instructions.slice(stages[1]);
  const wordsOf = (keyword: string) => final.filter((one) => one.keyword === keyword).map(({ words }) => words);

  test('has nothing that its validator complains of', () => {
    expect(validate(text).map(({ message }) => message)).toEqual([]);
  });

  test('what it copies lies here, passes .dockerignore, and is enough to build all that the image takes', async () => {
    const passed =
      readFileSync('.dockerignore', 'utf8')
        .match(/^!.*$/gm)
        ?.map((line) => line.slice(1)) ?? [];
    const copies = [...build, ...final].filter(
      ({ keyword, words }) => keyword === 'COPY' && !words.startsWith('--from'),
    );
    const sources = copies.flatMap(({ words }) => words.split(' ').slice(0, -1));
    expect(sources.filter((source) => !existsSync(source) || !passed.includes(source))).toEqual([]);

    const app = mkdtempSync(join(tmpdir(), 'image-'));
    onTestFinished(() => rmSync(app, { recursive: true }));
    for (const { keyword, words } of build) {
      if (keyword !== 'COPY') continue;
      const named = words.split(' ');
      const to = named.pop() ?? '';
      for (const one of named) cpSync(one, join(app, to === './' ? one : to), { recursive: true });
    }
    symlinkSync(resolve('node_modules'), join(app, 'node_modules'));
    const { code, stdout, stderr } = await runProgram(process.execPath, ['scripts/build.ts'], { cwd: app });
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: '' });
    const taken = wordsOf('COPY').flatMap((words) => /^--from=build \/app(\/\S+)/.exec(words)?.[1] ?? []);
    expect(taken.length).toBeGreaterThan(2);
    expect(taken.filter((path) => !existsSync(join(app, path)))).toEqual([]);
    const entry = z.array(z.string()).parse(JSON.parse(wordsOf('ENTRYPOINT')[0] ?? ''));
    expect(entry[0]).toBe('node');
    const { bin } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(entry.at(-1)).toBe(join('/app', Object.values<string>(bin)[0] ?? ''));
    const file = join(app, entry.at(-1)?.replace('/app', '') ?? '');
    expect(
      await runProgram(process.execPath, [file, 'check', '--config', resolve('config/bridge.yaml')]),
    ).toMatchObject({ code: 0 });
  });

  test('the bridge is not root in it, and writes into its volume alone', () => {
    expect(wordsOf('USER')).toEqual([expect.stringMatching(/^[1-9]\d*:[1-9]\d*$/)]);
    expect(wordsOf('VOLUME')).toEqual(['/data']);
    const [command = ''] = wordsOf('CMD');
    const [, file = ''] = /"--config", "([^"]+)"/.exec(command) ?? [];
    expect(wordsOf('COPY')).toContain(`deploy/bridge.yaml ${file}`);
    expect(parse(readFileSync('deploy/bridge.yaml', 'utf8')).journal.file).toMatch(/^\/data\//);
  });

  test('its health check tells a bridge that runs from one that does not', async () => {
    const [words = ''] = wordsOf('HEALTHCHECK');
    const [node, ...args] = z.array(z.string()).parse(JSON.parse(/CMD (\[.*\])/s.exec(words)?.[1] ?? ''));
    expect(node).toBe('node');
    const home = bridgeHome((at) => ({ 'audit-file': { kind: 'file', path: join(at, 'events.ndjson') } }));
    onTestFinished(() => home.remove());
    const bridge = await startBridgeProcess(home);
    const ask = () => runProgram(process.execPath, args, { env: { HEALTH_URL: `${bridge.adminUrl}/healthz` } });
    expect(await ask()).toEqual({ code: 0, stdout: '', stderr: '' });
    await bridge.end('SIGTERM');
    expect(await ask()).toEqual({ code: 1, stdout: '', stderr: '' });
  });
});

describe('compose.yaml', () => {
  const text = readFileSync('compose.yaml', 'utf8');
  const linter = new DCLinter({ rules: {}, quiet: true, debug: false, exclude: [] });
  interface Complaint {
    readonly rule: string;
    readonly category: string;
    readonly message: string;
  }
  /** The schema and the rules on safety and practice; not those on the order of keys. */
  const faults = (file: string): string[] => {
    const results: readonly { readonly messages: readonly Complaint[] }[] = linter.lintFiles([file], false);
    return results
      .flatMap(({ messages }) => messages)
      .filter(({ category, rule }) => rule === 'invalid-schema' || !['style', 'best-practice'].includes(category))
      .map(({ rule, message }) => `${rule}: ${message}`);
  };

  test('is a Compose file by the schema of the Compose Specification, and its linter finds nothing', () => {
    expect(faults('compose.yaml')).toEqual([]);
  });

  test('a key that is misspelt would have been found', () => {
    const folder = mkdtempSync(join(tmpdir(), 'compose-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, 'compose.yaml'), text.replace('read_only:', 'readonly:'));
    expect(faults(join(folder, 'compose.yaml'))).toEqual([
      expect.stringMatching(/^invalid-schema: .*services\/bridge/s),
    ]);
  });

  test('the configuration can be loaded with what it sets, and every volume and dependency is there', () => {
    const { services, volumes } = parse(text);
    const given = { SDK_APP_ID: '1400701118', CALLBACK_TOKEN: 'token' };
    const env = Object.fromEntries(
      Object.entries<string>(services.bridge.environment).map(([name, value]) => [
        name,
        value.replace(/^\$\{(\w+):.*\}$/, (_, from) => given[from as keyof typeof given]),
      ]),
    );
    expect(problemsOf(readFileSync('deploy/bridge.yaml', 'utf8'), env)).toEqual([]);
    for (const service of Object.values<{ volumes: string[]; healthcheck?: unknown }>(services)) {
      for (const volume of service.volumes) expect(Object.keys(volumes)).toContain(volume.split(':')[0]);
    }
    for (const name of Object.keys(services.bridge.depends_on)) expect(services[name].healthcheck).toBeDefined();
  });
});

describe('deploy/kubernetes', () => {
  const files = ['deploy/kubernetes/bridge.yaml', 'deploy/kubernetes/secret.example.yaml'];
  // biome-ignore lint/suspicious/noExplicitAny: Kubernetes' own schemas judge their shape, in the first test
  const manifests: any[] = files.flatMap((file) =>
    parseAllDocuments(readFileSync(file, 'utf8')).map((document) => document.toJS()),
  );
  const of = (kind: string, name = 'group-sync-bridge') =>
    manifests.find((one) => one.kind === kind && one.metadata.name === name);

  test.each(['1.30', '1.37'])('fits the schemas of Kubernetes %s, without unknown keys', async (version) => {
    const python = await pythonWith('deploy/requirements.txt');
    if ('missing' in python) {
      if (process.env.CI === 'true') throw new Error(python.missing);
      process.stderr.write(`SKIPPED: the schemas of Kubernetes: ${python.missing}\n`);
      return;
    }
    const args = ['-m', 'kubernetes_validate', '--strict', '-k', version];
    const { code, stdout, stderr } = await python.run([...args, ...files]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.match(/passed/g)?.length ?? stdout).toBe(manifests.length);
  });

  test('the configuration can be loaded with the Secret, and listens where the probes and Services look', () => {
    const text = of('ConfigMap').data['bridge.yaml'];
    expect(problemsOf(text, of('Secret').stringData)).toEqual([]);
    const [container] = of('StatefulSet').spec.template.spec.containers;
    const ports = Object.fromEntries(
      container.ports.map((port: { name: string; containerPort: number }) => [port.name, port.containerPort]),
    );
    expect(ports).toEqual({ callbacks: 8080, admin: 8081 });
    for (const probe of ['livenessProbe', 'readinessProbe', 'startupProbe'])
      expect(ports).toHaveProperty(container[probe].httpGet.port);
    for (const name of ['group-sync-bridge', 'group-sync-bridge-pods'])
      for (const port of of('Service', name).spec.ports) expect(ports).toHaveProperty(port.targetPort);
    for (const rule of of('NetworkPolicy').spec.ingress)
      for (const { port } of rule.ports) expect(ports).toHaveProperty(port);
  });

  test('whatever selects pods selects these, and the journal lies in a volume of its own', () => {
    const { spec } = of('StatefulSet');
    const { labels } = spec.template.metadata;
    const selectors = [
      spec.selector.matchLabels,
      of('Service').spec.selector,
      of('Service', spec.serviceName).spec.selector,
      of('PodDisruptionBudget').spec.selector.matchLabels,
      of('NetworkPolicy').spec.podSelector.matchLabels,
    ];
    for (const selector of selectors) expect(selector).toEqual(labels);
    const [container] = spec.template.spec.containers;
    const folder = container.volumeMounts.find(
      ({ name }: { name: string }) => name === spec.volumeClaimTemplates[0].metadata.name,
    ).mountPath;
    expect(dirname(parse(of('ConfigMap').data['bridge.yaml']).journal.file)).toBe(folder);
    expect(container.envFrom).toEqual([{ secretRef: { name: of('Secret').metadata.name } }]);
  });

  test('keeps to the restricted Pod Security Standard', () => {
    const pod = of('StatefulSet').spec.template.spec;
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    expect(pod.containers[0].securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect([pod.hostNetwork, pod.hostPID, pod.hostIPC]).toEqual([undefined, undefined, undefined]);
  });
});
