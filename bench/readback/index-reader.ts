import { setTimeout as delay } from 'node:timers/promises';
import { readName } from '../load/callbacks.ts';
import type { ReadbackOrder } from './readback.ts';

const EVERY_MS = 20;
/** The span of times within one refresh, whose documents need not be in the order of their times. */
const OVERLAP_MS = 3_000;

interface Found {
  readonly hits: {
    readonly hits: readonly { readonly _source: { readonly name: string; readonly updatedAt: string } }[];
  };
}

/**
 * Searches the index over and over for what became searchable: first cheaply for the newest `updatedAt`, and when that has
 * risen for all that changed. It never asks for a refresh. A callback that a later one of its group folded away before
 * it was searchable counts as searchable with that one.
 */
export async function followIndex(
  { elasticsearchUrl, index, run, groups }: ReadbackOrder,
  take: (number: number, dueAt: number) => void,
): Promise<void> {
  const search = async (body: unknown): Promise<Found['hits']['hits']> => {
    const response = await fetch(`${elasticsearchUrl}/${index}/_search?request_cache=false`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`search in ${index}: ${await response.text()}`);
    return ((await response.json()) as Found).hits.hits;
  };
  const newest = { size: 1, sort: [{ updatedAt: 'desc' }], _source: ['name', 'updatedAt'] };
  /** By group: the latest number seen. */
  const latest = new Map<number, number>();
  const note = (text: string): void => {
    const name = readName(text);
    if (name === undefined || name.run !== run) return;
    const group = name.number % groups;
    const before = latest.get(group);
    if (before !== undefined && before >= name.number) return;
    latest.set(group, name.number);
    take(name.number, name.dueAt);
  };
  let highest = '';
  const look = async (): Promise<void> => {
    const [first] = await search(newest);
    if (first === undefined || first._source.updatedAt === highest) return;
    const from = highest === '' ? 0 : Date.parse(highest) - OVERLAP_MS;
    const changed = await search({
      size: 10_000,
      query: { range: { updatedAt: { gte: from, format: 'epoch_millis' } } },
      _source: ['name', 'updatedAt'],
    });
    for (const { _source } of changed) {
      note(_source.name);
      if (_source.updatedAt > highest) highest = _source.updatedAt;
    }
  };
  await look();
  void (async () => {
    for (;;) {
      await look();
      await delay(EVERY_MS);
    }
  })();
}
