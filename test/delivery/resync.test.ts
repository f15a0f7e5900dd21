import { expect, test } from 'vitest';
import type { GroupSink } from '../../connectors/contract.ts';
import { compileFilter } from '../../src/delivery/filter.ts';
import { startResync } from '../../src/delivery/resync.ts';
import { type Group, newGroup } from '../../src/model/group.ts';
import { never } from '../connectors/suite.ts';

test('of groups that are named no more are brought at once than have room in a page, and each of them', async () => {
  const ids = Array.from({ length: 40 }, (_, n) => `g${n}`);
  const notification = 'x'.repeat(500_000);
  const known = new Map<string, Group>(ids.map((groupId) => [groupId, { ...newGroup(groupId), notification }]));
  const groups = { get: (groupId: string) => known.get(groupId), page: () => [], count: () => known.size };
  const brought: string[][] = [];
  const sink: GroupSink = {
    holds: 'groups',
    async put(states) {
      brought.push(states.map(({ groupId }) => groupId));
      return new Map(states.map(({ groupId }) => [groupId, { kind: 'delivered', receipt: groupId }]));
    },
    async close() {},
  };
  const named = ['unknown', ...ids, 'unknown too'];
  const resync = startResync(
    { how: 'join', groupIds: named },
    groups,
    compileFilter({}),
    () => {},
    () => {},
  );
  let progress = await resync.step(sink, never());
  while (!progress.ended) progress = await resync.step(sink, never());
  expect(progress).toMatchObject({ done: 40, total: 42, mended: 40, failed: 0 });
  expect(brought.flat()).toEqual(ids);
  expect(Math.max(...brought.map(({ length }) => length))).toBeLessThan(12);
});
