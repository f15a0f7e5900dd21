/** Writes each event as a line of JSON to a file descriptor: 1 is standard output, and a shell may open others. */
import { write } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { messageOf, Unreachable, z } from 'group-sync-bridge/connector';

const writeSome = promisify(write);

/** @type {import('group-sync-bridge/connector').Connector<{ fd: number }>} */
export default {
  kind: 'stdout',
  summary: 'Writes each event as a line of JSON to a file descriptor.',
  options: z.strictObject({ fd: z.int().min(1).describe('The descriptor: 1 is standard output.') }),
  readsBack: false,
  verifiable: false,
  holds: () => 'events',
  // Two connectors that write there would mix their lines.
  places: ({ fd }) => [{ name: `file descriptor ${fd}`, option: 'fd' }],

  async open({ fd }, { name }) {
    let lines = 0;
    return {
      holds: 'events',
      async deliver(batch, signal) {
        signal.throwIfAborted();
        const outcomes = new Map();
        for (const { id, text } of batch) {
          // Between two lines it may end: what is not settled comes again.
          signal.throwIfAborted();
          await writeAll(fd, Buffer.from(`${text}\n`), name);
          outcomes.set(id, { kind: 'delivered', receipt: `line ${++lines}` });
        }
        return outcomes;
      },
      // The descriptor is the process's own.
      async close() {},
    };
  },

  async *examine({ fd }, { name }) {
    await writeAll(fd, Buffer.alloc(0), name);
    yield { step: 'descriptor', state: 'well', says: `${fd} can be written` };
  },
};

/** A pipe takes what it has room for. */
async function writeAll(fd, bytes, connector) {
  let written = 0;
  do {
    try {
      written += (await writeSome(fd, bytes, written)).bytesWritten;
    } catch (thrown) {
      if (thrown.code !== 'EAGAIN') throw unreachable(fd, connector, thrown);
      await delay(10);
    }
  } while (written < bytes.length);
}

function unreachable(fd, connector, thrown) {
  return new Unreachable(
    {
      code: 'destination-unreachable',
      message: `The file descriptor ${fd} cannot be written: ${messageOf(thrown)}`,
      path: `connectors.${connector}.fd`,
      suggestion: 'give one that is open when the bridge starts',
    },
    thrown,
  );
}
