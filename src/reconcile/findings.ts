/** What the latest dry run found, group by group: in a file, since every group may be concerned. */
import { type FileHandle, open, rm, writeFile } from 'node:fs/promises';
import type { CanonicalEvent } from '../model/event.ts';
import { fieldsOf, fieldText, type Group, newGroup } from '../model/group.ts';
import { type ReconcileFinding, reconcileFinding } from '../model/reconcile-run.ts';

/** A page is read, parsed and written on the thread that receives callbacks. */
const PAGE_BYTES = 1_048_576;
const LINE_FEED = 0x0a;

export type Findings = ReturnType<typeof keepFindings>;

export function keepFindings(file: string) {
  let written: Promise<unknown> = rm(file, { force: true });
  const append = (text: string, flag: 'a' | 'w'): Promise<void> => {
    const write = (): Promise<void> => writeFile(file, text, { flag, mode: 0o600 });
    // Writes go one after another, even if the one before failed.
    const appended = written.then(write, write);
    written = appended.catch(() => {});
    return appended;
  };
  return {
    begin: () => append('', 'w'),
    async add(findings: readonly ReconcileFinding[]): Promise<void> {
      if (findings.length > 0) await append(findings.map((one) => `${JSON.stringify(one)}\n`).join(''), 'a');
    },
    /** Returns at most `limit` findings from an offset in the file on, fewer if they are large, and the offset after them. */
    async page(after: number, limit: number): Promise<{ findings: ReconcileFinding[]; next?: number }> {
      await written.catch(() => {});
      const bytes = await readLines(file, after);
      const findings: ReconcileFinding[] = [];
      let end = 0;
      for (let at = bytes.indexOf(LINE_FEED); at >= 0 && findings.length < limit; at = bytes.indexOf(LINE_FEED, end)) {
        findings.push(reconcileFinding.parse(JSON.parse(bytes.toString('utf8', end, at))));
        end = at + 1;
      }
      return { findings, ...(findings.length > 0 && { next: after + end }) };
    },
  };
}

/** Reads from an offset on, at least one whole line if there is one. */
async function readLines(file: string, from: number): Promise<Buffer> {
  let handle: FileHandle;
  try {
    handle = await open(file);
  } catch {
    // There was no dry run yet.
    return Buffer.alloc(0);
  }
  try {
    for (let size = PAGE_BYTES; ; size *= 2) {
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(size), 0, size, from);
      if (bytesRead < size || buffer.includes(LINE_FEED)) return buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

/** Returns what the event would change in the merged group. */
export function findingOf(state: Group | undefined, event: CanonicalEvent): ReconcileFinding {
  const known = state ?? newGroup(event.subject);
  const fields = fieldsOf(event).flatMap(([field, after]) => {
    const before = fieldText(known, field);
    if (before === after || (field === 'destroyed' && after === 'false' && before === undefined)) return [];
    return [{ field, ...(before !== undefined && { before }), after }];
  });
  const name = event.data.changed.name ?? known.name;
  const would = event.type === 'chat.group.destroyed' ? 'destroy' : 'mend';
  return { groupId: event.subject, ...(name !== undefined && { name }), would, fields };
}
