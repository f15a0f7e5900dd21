import type { Group, GroupStore } from '@group-sync-bridge/consumer';
import { type createClientPool, WatchError } from '@redis/client';

/** A group a key, such as `urn:tencent-chat:app:1400701118 @TGS#2J4SZEAEL`, with its state as JSON. */
export function groupKeys(pool: ReturnType<typeof createClientPool>): GroupStore {
  const keyOf = (groupId: string, source: string): string => `${source} ${groupId}`;
  const read = (text: string | null): Group | undefined => (text === null ? undefined : JSON.parse(text));
  return {
    get: async (groupId, source) => read(await pool.get(keyOf(groupId, source))),
    update: (groupId, source, change) =>
      pool.execute(async (client) => {
        const key = keyOf(groupId, source);
        for (;;) {
          await client.watch(key);
          const after = change(read(await client.get(key)));
          try {
            return await client.multi().set(key, JSON.stringify(after)).exec();
          } catch (thrown) {
            // Another process was faster: once more, on what it wrote.
            if (!(thrown instanceof WatchError)) throw thrown;
          }
        }
      }),
  };
}
