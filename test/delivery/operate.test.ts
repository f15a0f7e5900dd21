import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, inject, test } from 'vitest';
import { signOf } from '../../src/intake/authentication.ts';
import { eventually, getDocument } from '../servers/readback.ts';
import {
  type BridgeHome,
  type BridgeProcess,
  bridgeHome,
  runCommand,
  startBridgeProcess,
} from '../support/bridge.process.ts';
import { body, OK, search } from '../support/callbacks.ts';

const elasticsearchUrl = inject('elasticsearchUrl');
const skip = elasticsearchUrl === '' ? ' (skipped: no Elasticsearch in this run)' : '';

const fileHome = (): BridgeHome =>
  bridgeHome((folder) => ({ audit: { kind: 'file', path: join(folder, 'events.ndjson') } }));

async function names(home: BridgeHome): Promise<string[]> {
  const text = await readFile(join(home.folder, 'events.ndjson'), 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line).data.changed.name);
}

/** A command on a running bridge, its JSON parsed when it was asked for. */
async function command(bridge: BridgeProcess, ...args: string[]) {
  const { code, stdout, stderr } = await runCommand([...args, '--admin', bridge.adminUrl]);
  return { code, stdout, stderr, json: args.includes('--json') && stdout !== '' ? JSON.parse(stdout) : undefined };
}

async function post(bridge: BridgeProcess, ...texts: string[]): Promise<void> {
  for (const Name of texts) expect(await bridge.post({ search: search(), body: body({ Name }) })).toEqual(OK);
}

describe('pause and resume', () => {
  test('callbacks go on being recorded; the pause outlasts a restart; nothing is lost or repeated', async () => {
    const home = fileHome();
    const first = await startBridgeProcess(home);
    await post(first, 'a');
    await expect.poll(() => names(home)).toEqual(['a']);
    expect((await command(first, 'pause', 'audit')).stdout).toMatch(/audit is paused/);
    await post(first, 'b', 'c');
    expect((await command(first, 'status', '--json')).json.connectors).toMatchObject([
      { state: { kind: 'paused' }, lag: 2 },
    ]);
    await first.end('SIGTERM');

    const second = await startBridgeProcess(home);
    await post(second, 'd');
    await expect
      .poll(async () => (await command(second, 'status', '--json')).json.connectors[0].state.kind)
      .toBe('paused');
    expect(await names(home)).toEqual(['a']);
    await command(second, 'resume', 'audit');
    await expect.poll(() => names(home)).toEqual(['a', 'b', 'c', 'd']);
    await second.end('SIGTERM');
    home.remove();
  });

  test('an unknown connector is named, with those that run', async () => {
    const home = fileHome();
    const bridge = await startBridgeProcess(home);
    const { code, stderr } = await command(bridge, 'pause', 'adit');
    expect(code).toBe(2);
    expect(stderr).toMatch(/no connector called adit runs here — did you mean "audit"\? these do: audit/);
    await bridge.end('SIGTERM');
    home.remove();
  });
});

describe('replay', () => {
  test('from the beginning, a seq, a time: those events come again, in order', async () => {
    const home = fileHome();
    const bridge = await startBridgeProcess(home);
    await post(bridge, 'a', 'b', 'c');
    await expect.poll(() => names(home)).toHaveLength(3);
    expect((await command(bridge, 'replay', 'audit', '--from', 'beginning')).stdout).toMatch(
      /delivered 3 events again, from seq 1/,
    );
    expect((await command(bridge, 'replay', 'audit', '--from', '3')).stdout).toMatch(
      /delivered 1 event again, from seq 3/,
    );
    const ago = new Date(Date.now() - 3_600_000).toISOString();
    await command(bridge, 'replay', 'audit', '--from', ago);
    expect(await names(home)).toEqual(['a', 'b', 'c', 'a', 'b', 'c', 'c', 'a', 'b', 'c']);
    expect((await command(bridge, 'replay', 'audit', '--from', '2999-01-01')).stdout).toMatch(/nothing to replay/);
    const wrong = await command(bridge, 'replay', 'audit', '--from', 'yesterday');
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringMatching(/beginning, groups, a seq, or a time/) });
    await bridge.end('SIGTERM');
    home.remove();
  });
});

describe('the status of a bridge', () => {
  test('for people: why a connector waits and what to do', async () => {
    const home = bridgeHome(() => ({ down: { kind: 'kafka', brokers: '127.0.0.1:1', topic: 't' } }));
    const bridge = await startBridgeProcess(home);
    await expect
      .poll(async () => (await command(bridge, 'status')).stdout)
      .toMatch(
        /down has waited for \d+ s, next try (now|in \d+ s): Kafka: .*\n {2}is Kafka running and reachable at 127\.0\.0\.1:1\?/,
      );
    await bridge.end('SIGTERM');
    home.remove();
  });

  test('no bridge there: exit 1 and what to do', async () => {
    const { code, stderr } = await runCommand(['status', '--admin', 'http://127.0.0.1:1']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/no bridge answers at http:\/\/127\.0\.0\.1:1.*--admin/);
  });

  test('the admin API takes no request that a web page could send', async () => {
    const home = fileHome();
    const bridge = await startBridgeProcess(home);
    const pause = `${bridge.adminUrl}/api/connectors/audit/pause`;
    const form = await fetch(pause, { method: 'POST', body: '{}', headers: { 'content-type': 'text/plain' } });
    expect(form.status).toBe(415);
    const { request } = await import('node:http');
    const rebound = await new Promise<number | undefined>((resolve, reject) => {
      request(`${bridge.adminUrl}/api/status`, { headers: { host: 'evil.example' } }, (response) =>
        resolve(response.statusCode),
      )
        .on('error', reject)
        .end();
    });
    expect(rebound).toBe(403);
    await bridge.end('SIGTERM');
    home.remove();
  });
});

describe.skipIf(skip !== '')(`dead letters${skip}`, () => {
  test('a poison document delays nobody, keeps Elasticsearch’s reason, and is delivered once the mapping was mended', async () => {
    const index = `test-${randomUUID()}`;
    const es = (path: string, init: RequestInit) =>
      fetch(`${elasticsearchUrl}/${index}${path}`, { ...init, headers: { 'content-type': 'application/json' } });
    // An index of somebody's own that knows no faceUrl and refuses what it does not know.
    const keyword = { type: 'keyword' };
    const properties = Object.fromEntries(
      ['groupId', 'groupType', 'name', 'lastOperator', 'owner', 'introduction', 'notification'].map((field) => [
        field,
        keyword,
      ]),
    );
    const created = await es('', {
      method: 'PUT',
      body: JSON.stringify({
        settings: { number_of_replicas: 0 },
        mappings: {
          dynamic: 'strict',
          properties: {
            ...properties,
            customFields: { type: 'flattened' },
            updatedAt: { type: 'date' },
            destroyed: { type: 'boolean' },
            versions: { type: 'object', enabled: false },
          },
        },
      }),
    });
    expect(created.status).toBe(200);

    const home = bridgeHome(() => ({ index: { kind: 'elasticsearch', nodes: elasticsearchUrl, index } }));
    const bridge = await startBridgeProcess(home);
    const send = (GroupId: string, fields: Record<string, unknown>) =>
      bridge.post({ search: search(), body: body({ GroupId, Name: undefined, ...fields }) });
    expect(await send('poisoned', { FaceUrl: 'http://face' })).toEqual(OK);
    expect(await send('poisoned', { Name: 'the next of its group', EventTime: 1_700_000_000_001 })).toEqual(OK);
    expect(await send('healthy', { Name: 'another group' })).toEqual(OK);
    await eventually(async () => {
      expect(await getDocument(elasticsearchUrl, index, 'healthy')).toMatchObject({ name: 'another group' });
      expect(await getDocument(elasticsearchUrl, index, 'poisoned')).toMatchObject({ name: 'the next of its group' });
    }, 'the healthy ones');

    const listed = await command(bridge, 'dead-letters', 'list', 'index', '--json');
    expect(listed.json.deadLetters).toMatchObject([
      {
        seq: 1,
        attempts: 1,
        fault: { code: 'event-refused', message: expect.stringMatching(/strict_dynamic_mapping_exception.*faceUrl/) },
      },
    ]);
    expect((await command(bridge, 'dead-letters', 'list', 'index')).stdout).toMatch(
      /seq +given up at.*\n1 +\S+ +poisoned +1 +.*faceUrl/,
    );
    expect((await command(bridge, 'dead-letters', 'show', 'index', '1')).stdout).toMatch(
      /reason +.*faceUrl[\s\S]*"faceUrl": "http:\/\/face"/,
    );
    const metrics = await (await fetch(`${bridge.adminUrl}/metrics`)).text();
    expect(metrics).toMatch(/bridge_dead_letters\{connector="index"\} 1/);

    // Not mended yet: it is refused once more, and stays on show.
    await command(bridge, 'dead-letters', 'retry', 'index', '1');
    await eventually(async () => {
      const { json } = await command(bridge, 'dead-letters', 'list', 'index', '--json');
      expect(json.deadLetters[0].deadAt).toBeGreaterThan(listed.json.deadLetters[0].deadAt);
    }, 'the second refusal');

    const mended = await es('/_mapping', { method: 'PUT', body: JSON.stringify({ properties: { faceUrl: keyword } }) });
    expect(mended.status).toBe(200);
    expect((await command(bridge, 'dead-letters', 'retry', 'index')).stdout).toMatch(/is retrying 1 dead letter/);
    await eventually(async () => {
      expect(await getDocument(elasticsearchUrl, index, 'poisoned')).toMatchObject({
        name: 'the next of its group',
        faceUrl: 'http://face',
      });
      expect((await command(bridge, 'dead-letters', 'list', 'index')).stdout).toBe('index has no dead letters\n');
    }, 'the mended one');

    // One that nobody wants.
    expect(await send('unwanted', { Name: 'x'.repeat(40_000) })).toEqual(OK);
    await eventually(async () => {
      expect((await command(bridge, 'status', '--json')).json.connectors[0].deadLetters).toBe(1);
    }, 'a second dead letter');
    expect((await command(bridge, 'dead-letters', 'discard', 'index')).code).toBe(2);
    expect((await command(bridge, 'dead-letters', 'discard', 'index', '1', '--all')).code).toBe(2);
    expect((await command(bridge, 'dead-letters', 'discard', 'index', '--all')).stdout).toMatch(
      /discarded 1 dead letter of index/,
    );
    expect((await command(bridge, 'status', '--json')).json.connectors[0].deadLetters).toBe(0);
    expect(bridge.stderr()).toMatch(/dead letters were discarded/);
    await bridge.end('SIGTERM');
    home.remove();
  });
});

describe('quarantine', () => {
  test('a verified callback that cannot be mapped is kept raw, on show, and mapped after an upgrade', async () => {
    const token = 'xxxxyyyy';
    const home = bridgeHome((folder) => ({ audit: { kind: 'file', path: join(folder, 'events.ndjson') } }), {
      app: { sdkAppId: '1400701118', callbackTokens: [token] },
    });
    const signed = (changes: Record<string, string> = {}): string => {
      const RequestTime = String(Math.floor(Date.now() / 1000));
      return search({ Sign: signOf(token, RequestTime), RequestTime, RequestID: 'r-1', ...changes });
    };
    const first = await startBridgeProcess(home);
    const raw = body({ Name: 7 });
    expect(await first.post({ search: signed(), body: raw })).toEqual(OK);
    expect((await first.post({ search: signed({ Sign: 'x' }), body: raw })).status).toBe(401);
    expect(await first.post({ search: signed(), body: Buffer.from([0x7b, 0xff]) })).toEqual(OK);
    const { json } = await command(first, 'quarantine', 'list', '--json');
    expect(json.quarantined).toMatchObject([
      {
        id: 1,
        body: raw,
        fault: { code: 'callback-invalid', message: 'Name: a text is expected, not a number' },
      },
      { id: 2, body: '{\ufffd', bodyBase64: 'e/8=', fault: { code: 'not-json' } },
    ]);
    expect(json.quarantined[0]).not.toHaveProperty('bodyBase64');
    expect(json.quarantined[0].search).toBe(
      'SdkAppid=1400701118&CallbackCommand=Group.CallbackAfterGroupInfoChanged&RequestID=r-1',
    );
    expect((await command(first, 'quarantine', 'retry')).stdout).toBe('0 mapped, 2 left\n');
    expect(await (await fetch(`${first.adminUrl}/metrics`)).text()).toMatch(/bridge_quarantined 2/);
    expect(first.stderr()).toMatch(/is in the quarantine: Name: a text is expected/);
    expect(first.stderr()).not.toContain(signOf(token, ''));
    await first.end('SIGTERM');

    // Stands for an upgrade: what was kept is now of a shape that the bridge knows.
    const database = new DatabaseSync(join(home.folder, 'journal.db'));
    database.prepare('UPDATE quarantine SET body = ?').run(Buffer.from(body({ Name: 'kept' })));
    database.close();
    const second = await startBridgeProcess(home);
    await expect.poll(() => names(home)).toEqual(['kept']);
    expect((await command(second, 'quarantine', 'list')).stdout).toBe('the quarantine is empty\n');
    await second.end('SIGTERM');
    home.remove();
  });
});

describe('quarantine discard', () => {
  test('gives up those that are named, or all, and only what stands there', async () => {
    const token = 'xxxxyyyy';
    const home = bridgeHome((folder) => ({ audit: { kind: 'file', path: join(folder, 'events.ndjson') } }), {
      app: { sdkAppId: '1400701118', callbackTokens: [token] },
    });
    const bridge = await startBridgeProcess(home);
    const keep = async (n: number) => {
      const RequestTime = String(Math.floor(Date.now() / 1000));
      const signed = search({ Sign: signOf(token, RequestTime), RequestTime, RequestID: `r-${n}` });
      expect(await bridge.post({ search: signed, body: body({ Name: n }) })).toEqual(OK);
    };
    for (let n = 1; n <= 4; n++) await keep(n);
    const ids = async () =>
      (await command(bridge, 'quarantine', 'list', '--json')).json.quarantined.map(({ id }: { id: number }) => id);
    expect(await command(bridge, 'quarantine', 'discard')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/by id, or use --all/),
    });
    expect(await command(bridge, 'quarantine', 'discard', '2', '--all')).toMatchObject({ code: 2 });
    expect(await ids()).toEqual([1, 2, 3, 4]);
    expect(await command(bridge, 'quarantine', 'discard', '2', '9')).toMatchObject({
      code: 1,
      stdout: 'discarded 1 callback of the quarantine; 1 of those named was not found\n',
    });
    expect(await ids()).toEqual([1, 3, 4]);
    expect((await command(bridge, 'quarantine', 'discard', '--all', '--json')).json).toEqual({ discarded: 3 });
    expect(await ids()).toEqual([]);
    expect((await command(bridge, 'quarantine', 'discard', '--all')).stdout).toMatch(/discarded 0 callbacks/);
    expect(bridge.stderr()).toMatch(/callbacks in the quarantine were discarded/);
    // What is kept from then on is there again.
    await keep(5);
    expect(await ids()).toHaveLength(1);
    await bridge.end('SIGTERM');
    home.remove();
  });
});

describe('a journal that has grown to maxBytes', () => {
  test('callbacks are answered 503 and readiness is false, until retention has made room, without a restart', async () => {
    const home = bridgeHome((folder) => ({ audit: { kind: 'file', path: join(folder, 'events.ndjson') } }), {
      receiver: { host: '127.0.0.1', port: 0, whenUnrecordable: 'fail' },
      journal: { maxBytes: '1MiB', keepDelivered: '1s' },
    });
    const bridge = await startBridgeProcess(home);
    await command(bridge, 'pause', 'audit');
    const fill = (n: number) =>
      bridge.post({ search: search(), body: body({ Name: `${n}`, Introduction: 'x'.repeat(20_000) }) });
    let recorded = 0;
    let answer = await fill(recorded);
    while (answer.status === 200) answer = await fill(++recorded);
    expect(answer).toMatchObject({ status: 503, text: expect.stringMatching(/"FAIL".*cannot be recorded/) });
    expect(recorded).toBeGreaterThan(20);
    const ready = () => fetch(`${bridge.adminUrl}/readyz`);
    expect((await ready()).status).toBe(503);
    expect(await (await ready()).json()).toMatchObject({
      reason: expect.stringMatching(/journal\.maxBytes \(journal\.file\)/),
    });

    // Undelivered events are never pruned, so it is the delivery that makes room.
    await command(bridge, 'resume', 'audit');
    await expect.poll(async () => (await ready()).status, { timeout: 30_000 }).toBe(200);
    expect((await fill(recorded)).status).toBe(200);
    await expect.poll(async () => (await names(home)).length).toBe(recorded + 1);
    expect(new Set(await names(home)).size).toBe(recorded + 1);
    await bridge.end('SIGTERM');
    home.remove();
  });
});
