/** Bare Hono + zod: each callback is a line appended to a file; those that came during one fdatasync share the next. On disk, no delivery. */
import { open } from 'node:fs/promises';
import { serveCallbacks } from './hono.ts';

const file = await open(process.argv[2] ?? '', 'a');

let lines: string[] = [];
let kept = Promise.withResolvers<void>();
let syncing = false;

async function sync(): Promise<void> {
  syncing = true;
  while (lines.length > 0) {
    const text = `${lines.join('\n')}\n`;
    const answered = kept;
    lines = [];
    kept = Promise.withResolvers();
    await file.appendFile(text);
    await file.datasync();
    answered.resolve();
  }
  syncing = false;
}

serveCallbacks((callback) => {
  lines.push(JSON.stringify(callback));
  const { promise } = kept;
  // With the next turn of the event loop, so that what was read in this one goes together.
  if (!syncing) {
    syncing = true;
    setImmediate(sync);
  }
  return promise;
});
