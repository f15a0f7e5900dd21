import { z } from 'zod';
import type { Connector } from '../contract.ts';
import { translated } from './fault.ts';
import { checkWritable, openSink } from './sink.ts';

const options = z.strictObject({
  path: z
    .string()
    .min(1, { error: 'the path of a file is expected, such as data/events.ndjson' })
    .describe('The file events are appended to; relative to the working directory. Its folder is created.'),
});
export type FileOptions = z.output<typeof options>;

export const file: Connector<FileOptions> = {
  kind: 'file',
  summary: 'Appends each event as one line of JSON to a file.',
  options,
  readsBack: false,
  holds: () => 'events',
  open: openSink,
  async *examine({ path }, host) {
    try {
      const there = await checkWritable(path, host.name);
      yield { step: 'file', state: 'well', says: there ? `${path} can be written` : `${path} can be created` };
    } catch (thrown) {
      throw translated(thrown, path, host.name);
    }
  },
};
