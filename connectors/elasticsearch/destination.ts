import type { Host } from '../contract.ts';
import { MAX_BULK_BYTES } from './bulk.ts';
import { createClient, type Destination } from './client.ts';
import { readNewIndex } from './ensure.ts';
import type { ElasticsearchOptions } from './options.ts';

/** Nothing is asked of the cluster yet. */
export async function destinationOf(
  options: ElasticsearchOptions,
  host: Host,
  signal: AbortSignal,
): Promise<Destination> {
  const place = { name: host.name, options };
  const newIndex = await readNewIndex(place);
  const { client, secure } = await createClient(place, signal);
  return {
    ...place,
    client,
    ...(secure && { secure }),
    ...(newIndex && { newIndex }),
    maxBulkBytes: MAX_BULK_BYTES,
    note: (message) => host.note(message),
  };
}
