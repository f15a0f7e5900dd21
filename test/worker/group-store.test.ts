import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { CanonicalEvent } from '../../src/model/event.ts';
import { openFollowedGroups } from '../../src/worker/group-store.ts';
import { madeEvent } from '../support/events.ts';

test('groups that were kept for another app are not this one’s, whatever their ids', () => {
  const folder = mkdtempSync(join(tmpdir(), 'groups-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const notes: string[] = [];
  const open = (app: string) =>
    openFollowedGroups(join(folder, 'groups.db'), app, (message) => void notes.push(message));
  const ours = madeEvent(1);
  const theirs: CanonicalEvent = {
    ...madeEvent(2, { introduction: 'theirs' }),
    source: 'urn:tencent-chat:app:1400000002',
  };
  for (const { source, data } of [ours, theirs, theirs]) {
    const groups = open(source);
    groups.merge([source === ours.source ? ours : theirs]);
    expect(groups.get(data.groupId)).toMatchObject({ source });
    expect(groups.get(data.groupId)?.introduction).toBe(data.changed.introduction);
    groups.close();
  }
  expect(notes).toEqual([expect.stringContaining(ours.source)]);
});
