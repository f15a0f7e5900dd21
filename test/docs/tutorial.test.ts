/** docs/tutorial.md from its beginning to its end, on real servers. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, inject, onTestFinished, test } from 'vitest';
import { freePort } from '../servers/index.ts';
import { followTopic } from '../servers/readback.ts';
import { runProgram } from '../support/program.ts';
import { walkThrough } from './walkthrough.ts';

const brokers = inject('kafkaBrokers');
const elasticsearch = inject('elasticsearchUrl');

test.skipIf(brokers === '' || elasticsearch === '')('docs/tutorial.md', async () => {
  const id = randomUUID();
  const [port, adminPort] = [String(await freePort()), String(await freePort())];
  const names = {
    'tutorial.group-events': `tutorial.${id}`,
    'tutorial-groups': `tutorial-${id}`,
    '8080': port,
    '8081': adminPort,
  };
  const tutorial = walkThrough('docs/tutorial.md', names, { KAFKA_BROKERS: brokers, ELASTICSEARCH_URL: elasticsearch });
  const command = (words: string) => tutorial.next('sh', words);

  command('npm ci');
  command('npm run servers');
  command('export KAFKA_BROKERS');
  writeFileSync(join(tutorial.folder, 'tutorial.yaml'), tutorial.next('yaml'));
  expect(await tutorial.run(command('check'))).toMatchObject({ code: 0, stderr: '' });

  const bridge = tutorial.start(command('start'));
  await expect.poll(() => bridge.stdout()).toContain(`http://127.0.0.1:${port}/callback`);

  const answer = tutorial.next('json').trim();
  expect(await tutorial.run(command('MyFirstGroup'))).toMatchObject({ stdout: answer });
  const status = command('status');
  const shown = async () => (await tutorial.run(status)).stdout;
  await expect.poll(shown).toMatch(/group-events +kafka +running +0 +0\n/);
  await expect.poll(shown).toMatch(/group-index +elasticsearch +running +0 +0\n/);
  expect(JSON.parse((await tutorial.run(command('_source'))).stdout)).toMatchObject({ name: 'MyFirstGroup' });
  const kcat = command('kcat');
  if ((await runProgram('kcat', ['-V'])).code === 0)
    expect((await tutorial.run(kcat)).stdout).toMatch(/^@TGS#2J4SZEAEL \{.*"name":"MyFirstGroup".*\}\n$/);

  expect((await tutorial.run(command('Held up'))).stdout).toBe(answer.repeat(2));
  const source = command('_source');
  await expect
    .poll(async () => JSON.parse((await tutorial.run(source)).stdout))
    .toMatchObject({ name: 'The newest name', notification: 'TestNotification' });
  const topic = await followTopic(brokers, `tutorial.${id}`);
  onTestFinished(() => topic.close());
  await topic.until((records) => records.length >= 3, 'three events', 30_000);
  const named = topic.records.map(({ value }) => JSON.parse(value ?? '{}').data.changed.name);
  expect(named).toEqual(['MyFirstGroup', 'The newest name', 'Held up']);

  bridge.child.kill('SIGINT');
  expect(await once(bridge.child, 'exit')).toEqual([0, null]);
  expect(tutorial.left('sh')).toBe(0);
});
