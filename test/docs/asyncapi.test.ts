import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AsyncAPIDocumentInterface, Parser } from '@asyncapi/parser';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { parseEvent, parseGroup } from '../../src/client/index.ts';
import { EVENT_TYPES } from '../../src/model/event.ts';
import { runCommand } from '../support/bridge.process.ts';

let folder: string;
let usual: AsyncAPIDocumentInterface;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'asyncapi-'));
  usual = (await printed()).document;
});
afterAll(() => rmSync(folder, { recursive: true }));

/** That a later version of AsyncAPI is out is no fault of the document. */
const INFORMATION = 2;

/** The document as the official parser understands it, which it only does when there is nothing wrong with it. */
async function printed(...args: string[]): Promise<{ text: string; document: AsyncAPIDocumentInterface }> {
  const { code, stdout, stderr } = await runCommand(['schema', 'asyncapi', ...args]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const { document, diagnostics } = await new Parser().parse(stdout);
  expect(diagnostics.filter(({ severity }) => severity < INFORMATION)).toEqual([]);
  return { text: stdout, document: document as AsyncAPIDocumentInterface };
}

function messagesOf(document: AsyncAPIDocumentInterface) {
  return document
    .components()
    .messages()
    .all()
    .map((message) => ({
      name: String(message.name()),
      payload: z.fromJSONSchema(message.payload()?.json() as z.core.JSONSchema.JSONSchema),
      headers: message.headers() && z.fromJSONSchema(message.headers()?.json() as z.core.JSONSchema.JSONSchema),
      key: (message.json().bindings as { kafka: { key: unknown } }).kafka.key,
      examples: message.examples().all(),
    }));
}

describe('schema asyncapi', () => {
  test('is valid; both contents, both formats, under the usual topics', () => {
    const channels = usual.channels().all();
    expect(
      channels.map((channel) => [
        channel.address(),
        channel
          .messages()
          .all()
          .map((one) => one.name()),
      ]),
    ).toEqual([
      ['chat.group-info.events', ['event-structured', 'event-binary']],
      ['chat.group-info.groups', ['group', 'group-destroyed']],
    ]);
    expect(usual.servers().all()).toEqual([]);
    expect(
      usual
        .operations()
        .all()
        .map((operation) => operation.action()),
    ).toEqual(['send', 'send']);
  });

  test('its examples hold what its schemas and the reader ask for', () => {
    const seen: string[] = [];
    for (const { name, payload, headers, key, examples } of messagesOf(usual)) {
      expect(key).toMatchObject({ type: 'string' });
      for (const example of examples) {
        const [value, given] = [example.payload() as unknown, example.headers() as Record<string, string> | undefined];
        payload.parse(value);
        headers?.parse(given);
        const message = { key: 'g', value: value === null ? null : JSON.stringify(value), headers: given };
        const parsed = name.startsWith('event') ? parseEvent(message) : parseGroup(message);
        expect(parsed.ok && parsed).toMatchObject({ ok: true });
        seen.push(`${name} ${example.name()}`);
      }
    }
    expect(seen).toEqual([
      ...EVENT_TYPES.map((type) => `event-structured ${type}`),
      ...EVENT_TYPES.map((type) => `event-binary ${type}`),
      'group group',
      'group-destroyed group-destroyed',
    ]);
  });

  test('what its schemas do not allow is refused', () => {
    const [structured, binary, group, destroyed] = messagesOf(usual);
    const event = structured?.examples[0]?.payload() as { data: object };
    for (const payload of [structured?.payload, binary?.payload, group?.payload, destroyed?.payload])
      expect(payload?.safeParse({ ...event, type: 'x', data: {} }).success).toBe(false);
    expect(binary?.headers?.safeParse({ 'content-type': 'application/json' }).success).toBe(false);
    // Later additions are not.
    expect(structured?.payload.safeParse({ ...event, data: { ...event.data, muted: true } }).success).toBe(true);
  });

  test('of a configuration has its topics, formats and brokers, and no secrets', async () => {
    const file = join(folder, 'bridge.yaml');
    writeFileSync(
      file,
      `app: { sdkAppId: 1 }
connectors:
  changes: { kind: kafka, brokers: "k1:9092,k2:9092", topic: app.changes, format: binary }
  copies:
    kind: kafka
    brokers: ["k2:9092", "k3:9093"]
    topic: app.groups
    content: groups
    tls: true
    sasl: { mechanism: scram-sha-256, username: someone, password: hush-hush }
  off: { kind: kafka, brokers: ["k4:9092"], topic: app.off, enabled: false }
  audit: { kind: file, path: events.ndjson }
`,
    );
    const { document, text } = await printed('--config', file);
    const channels = document.channels().all();
    expect(
      channels.map((channel) => ({
        id: channel.id(),
        address: channel.address(),
        messages: channel
          .messages()
          .all()
          .map((one) => one.name()),
        servers: channel
          .servers()
          .all()
          .map((server) => server.url()),
      })),
    ).toEqual([
      {
        id: 'changes',
        address: 'app.changes',
        messages: ['event-binary'],
        servers: ['kafka://k1:9092/', 'kafka://k2:9092/'],
      },
      {
        id: 'copies',
        address: 'app.groups',
        messages: ['group', 'group-destroyed'],
        servers: ['kafka-secure://k2:9092/', 'kafka-secure://k3:9093/'],
      },
    ]);
    expect(
      document
        .securitySchemes()
        .all()
        .map((scheme) => scheme.type()),
    ).toEqual(['scramSha256']);
    expect(text).not.toMatch(/hush|someone/);
  });

  test('a topic that is a template has parameters; what has a shape of its own is not told to be an event', async () => {
    const file = join(folder, 'shaped.yaml');
    const shape = 'shape: { fields: { name: title } }';
    writeFileSync(
      file,
      `app: { sdkAppId: 1 }
connectors:
  a: { kind: kafka, brokers: "k:1", topic: "chat.{groupType}.events", ${shape} }
  b: { kind: kafka, brokers: "k:1", topic: groups, content: groups, ${shape} }
`,
    );
    const [channel, groups] = (await printed('--config', file)).document.channels().all();
    expect(channel?.address()).toBe('chat.{groupType}.events');
    expect(Object.keys(channel?.json().parameters ?? {})).toEqual(['groupType']);
    expect(
      channel
        ?.messages()
        .all()
        .map((one) => one.name()),
    ).toEqual(['shaped-a']);
    // Also there a group that is destroyed has no value.
    const ofGroups = groups?.messages().all() ?? [];
    expect(ofGroups.map((one) => [one.name(), one.payload()?.type()])).toEqual([
      ['shaped-b', 'object'],
      ['group-destroyed', 'null'],
    ]);
    const [message] = channel?.messages().all() ?? [];
    expect(message?.payload()?.json()).toMatchObject({ properties: { title: { type: 'string' }, type: {} } });
  });

  test('of a configuration with problems names them, exit 2', async () => {
    const file = join(folder, 'wrong.yaml');
    writeFileSync(file, 'app: {}\n');
    const { code, stdout, stderr } = await runCommand(['schema', 'asyncapi', '--config', file]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/sdkAppId/);
  });
});
