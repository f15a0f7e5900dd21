import { constants } from 'node:fs';
import { access, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import type { Connector } from '../contract.ts';
import { guarded, notOurs, orAbsent } from './fault.ts';
import { openSink } from './sink.ts';

const options = z.strictObject({
  path: z
    .string()
    .min(1, { error: 'the path of a file is expected, such as data/events.ndjson' })
    .describe('The file events are appended to; relative to the working directory. Its folder is created.'),
});

export const file: Connector<z.output<typeof options>> = {
  kind: 'file',
  summary: 'Appends each event as one line of JSON to a file.',
  options,
  readsBack: false,
  holds: () => 'events',
  open: openSink,
  async *examine({ path }, { name }) {
    const there = await guarded(path, name, () => checkWritable(path, name));
    yield { step: 'file', state: 'well', says: there ? `${path} can be written` : `${path} can be created` };
  },
};

/** Opens what deliver would open, or finds that it could be created. Returns whether it is there. */
async function checkWritable(path: string, name: string): Promise<boolean> {
  const state = await stat(path).catch(orAbsent);
  if (state === undefined) {
    let folder = dirname(path);
    while ((await stat(folder).catch(orAbsent)) === undefined) folder = dirname(folder);
    await access(folder, constants.W_OK | constants.X_OK);
    return false;
  }
  if (!state.isDirectory() && !state.isFile()) throw notOurs(path, name, 'is not a plain file');
  await (await open(path, constants.O_RDWR | constants.O_APPEND)).close();
  return true;
}
