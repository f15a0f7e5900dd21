/** Both connectors through the suite of the bridge: `npm test`, with a Redis for tests in REDIS_URL. */
import { randomUUID } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { createClient } from '@redis/client';
import { connectorCases, foundInGroup } from 'group-sync-bridge/connector';
import redis from './redis.mjs';
import stdout from './stdout.mjs';

function suite(target) {
  describe(target.name, () => {
    for (const { name, run } of connectorCases(target)) {
      test(name, async (context) => {
        const reason = await run();
        if (typeof reason === 'string') context.skip(reason);
      });
    }
  });
}

const folder = mkdtempSync(join(tmpdir(), 'stdout-'));
after(() => rmSync(folder, { recursive: true }));
let files = 0;

suite({
  name: 'stdout',
  connector: stdout,
  keeps: 'every event',
  async place() {
    const file = join(folder, `${++files}`);
    const fd = openSync(file, 'a');
    return {
      options: { fd },
      async readBack() {
        const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
        return lines.map((line, index) => {
          const { id, data } = JSON.parse(line);
          return { id, groupId: data.groupId, changed: data.changed, receipt: `line ${index + 1}` };
        });
      },
      dispose: async () => closeSync(fd),
    };
  },
  unreachable: async () => ({ fd: 100_000 }),
  poison: 'a descriptor takes any line',
});

const { REDIS_URL: url } = process.env;
const client = url === undefined ? undefined : await createClient({ url }).connect();
after(() => client?.destroy());

if (client === undefined) test('redis', { skip: 'REDIS_URL names no Redis' }, () => {});
else
  suite({
    name: 'redis',
    connector: redis,
    keeps: 'the latest of a group',
    async place() {
      const prefix = `${randomUUID()}:`;
      const state = async (groupId) => JSON.parse(await client.get(prefix + groupId)) ?? undefined;
      return {
        options: { url, prefix },
        async readBack() {
          const keys = (await client.keys(`${prefix}*`)).filter((key) => !key.endsWith('\u0000mark'));
          const groups = await Promise.all(keys.map((key) => state(key.slice(prefix.length))));
          return groups.flatMap((group, index) => foundInGroup(group, keys[index]));
        },
        copies: {
          state,
          where: (groupId) => prefix + groupId,
          overwrite: async (groupId, group) => {
            if (group === undefined) await client.del(prefix + groupId);
            else await client.set(prefix + groupId, JSON.stringify(group));
          },
        },
      };
    },
    unreachable: async () => ({ url: 'redis://127.0.0.1:1', prefix: 'any:' }),
    poison: 'Redis takes any group',
  });
