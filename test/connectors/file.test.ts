import {
  chmod,
  constants,
  type FileHandle,
  mkdir,
  mkdtemp,
  open,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, parse } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Sink } from '../../connectors/contract.ts';
import { file } from '../../connectors/file/connector.ts';
import { entryOf } from '../../src/model/entry.ts';
import type { CanonicalEvent } from '../../src/model/event.ts';
import {
  connectorSuite,
  type Found,
  makeEvent,
  never,
  optionsOf,
  type Place,
  testHost,
  unreachableBy,
  withSink,
} from './suite.ts';

let folder: string;
let files = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bridge-file-'));
});
afterAll(() => rm(folder, { recursive: true }));

function place(path = join(folder, `${++files}`, 'deep', 'events.ndjson')): Place & { readonly path: string } {
  return { path, options: { path }, readBack: () => readBack(path) };
}

/** The oracle: the lines of the file, each at its offset. */
async function readBack(path: string): Promise<Found[]> {
  const bytes = await readFile(path);
  const found: Found[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const end = bytes.indexOf('\n', offset);
    expect(end, 'the file ends in a newline').toBeGreaterThanOrEqual(0);
    const event: CanonicalEvent = JSON.parse(bytes.toString('utf8', offset, end));
    found.push({ id: event.id, groupId: event.subject, changed: event.data.changed, receipt: `${path}:${offset}` });
    offset = end + 1;
  }
  return found;
}

const idsIn = async (path: string) => (await readBack(path)).map((found) => found.id);

/** A place whose file holds `text` already. */
async function placeWith(text: string): Promise<ReturnType<typeof place>> {
  const chosen = place();
  await mkdir(dirname(chosen.path), { recursive: true });
  await writeFile(chosen.path, text);
  return chosen;
}

/** What all file handles inherit, to spy on. */
async function handlePrototype(): Promise<FileHandle> {
  const handle = await open(join(folder, 'handle'), constants.O_RDWR | constants.O_CREAT);
  await handle.close();
  return Object.getPrototypeOf(handle);
}

/** Makes the next call of a file handle's method fail as if the disk had. */
async function failOnce(method: 'write' | 'datasync', code: string) {
  const prototype = await handlePrototype();
  const real = prototype[method];
  return vi.spyOn(prototype, method).mockImplementationOnce(async function (this: FileHandle, ...given: unknown[]) {
    // Half of a write arrives before the disk is full.
    if (method === 'write') await Reflect.apply(real, this, [given[0], 0, 37]);
    throw Object.assign(new Error(`${code}: made up, ${method}`), { code, syscall: method });
  });
}

connectorSuite({
  name: 'file',
  connector: file,
  keeps: 'every event',
  skip: '',
  place: async () => place(),
  unreachable: async () => {
    const plain = join(folder, `plain-${++files}`);
    await writeFile(plain, '');
    return { path: join(plain, 'events.ndjson') };
  },
  poison: 'a file takes any event',
});

describe('the file connector', () => {
  test('writes one line of JSON an event, in the order of the batch, and appends to what is there', async () => {
    const chosen = place();
    const events = Array.from({ length: 6 }, (_, i) => makeEvent({ name: `line\n${i}` }));
    await withSink(file, chosen, (sink) => sink.deliver(events.slice(0, 2), never()));
    await withSink(file, chosen, (sink) => sink.deliver(events.slice(2), never()));
    const lines = (await readFile(chosen.path, 'utf8')).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toEqual(events);
  });

  test('syncs before it settles', async () => {
    const chosen = place();
    await withSink(file, chosen, async (sink) => {
      const spy = await failOnce('datasync', 'EIO');
      expect((await unreachableBy(() => sink.deliver([makeEvent({ name: 'a' })], never()))).code).toBe(
        'destination-unreachable',
      );
      spy.mockRestore();
    });
  });

  test.each(['renamed', 'removed', 'removed with its folder'])(
    'goes on in a new file after the old one was %s',
    async (how) => {
      const chosen = place();
      const [before, after] = [makeEvent({ name: 'before' }), makeEvent({ name: 'after' })];
      await withSink(file, chosen, async (sink) => {
        await sink.deliver([before], never());
        if (how === 'renamed') await rename(chosen.path, `${chosen.path}.1`);
        else await rm(how === 'removed' ? chosen.path : dirname(chosen.path), { recursive: true });
        const settled = await sink.deliver([after], never());
        expect(settled.get(after.id)).toEqual({ kind: 'delivered', receipt: `${chosen.path}:0` });
        expect(await idsIn(chosen.path)).toEqual([after.id]);
        if (how === 'renamed') expect(await idsIn(`${chosen.path}.1`)).toEqual([before.id]);
      });
    },
  );

  describe('a file that was rotated is no copy that was lost', () => {
    /** What is said of its identity after `act`, by the sink that wrote to it or, at a start, by another. */
    const lostAfter = async (act: (path: string) => Promise<void>, opened: 'running' | 'started anew') => {
      const chosen = place();
      const options = optionsOf(file, chosen.options);
      let sink = await file.open(options, testHost(), never());
      await deliverOne(sink);
      const { identity } = (await sink.identify?.(undefined, never())) ?? {};
      await act(chosen.path);
      if (opened === 'started anew') {
        await sink.close();
        sink = await file.open(options, testHost(), never());
      } else await deliverOne(sink);
      const found = await sink.identify?.(identity, never());
      await sink.close();
      return found?.lost;
    };
    const deliverOne = (sink: Sink) =>
      sink.holds === 'events' && sink.deliver([entryOf(1, makeEvent({ name: 'a' }))], never());
    const beside = (path: string, name: string): string => join(dirname(path), name.replace('STEM', parse(path).name));

    test.each(['STEM.ndjson.1', 'STEM.ndjson-20261128', 'STEM-20261128.ndjson', 'STEM.1.ndjson'])(
      'as %s',
      async (name) => {
        const renamed = (path: string) => rename(path, beside(path, name));
        const packed = async (path: string): Promise<void> => {
          await writeFile(beside(path, `${name}.gz`), 'packed');
          await rm(path);
        };
        for (const opened of ['running', 'started anew'] as const) {
          for (const act of [renamed, packed]) expect(await lostAfter(act, opened)).toBeUndefined();
        }
      },
    );

    test('into another folder, while it is written to', async () => {
      const moved = async (path: string): Promise<void> => {
        const archive = join(dirname(path), 'archive');
        await mkdir(archive);
        await rename(path, join(archive, 'events.ndjson-20261128'));
      };
      expect(await lostAfter(moved, 'running')).toBeUndefined();
    });

    test('one that was deleted is, whatever is beside it', async () => {
      const deleted = async (path: string): Promise<void> => {
        await writeFile(beside(path, 'STEM-audit.ndjson'), '');
        await rm(path);
      };
      for (const opened of ['running', 'started anew'] as const) {
        expect(await lostAfter(deleted, opened)).toMatch(/deleted or replaced/);
      }
    });
  });

  test('goes on at the start after the file was emptied in its place', async () => {
    const chosen = place();
    const after = makeEvent({ name: 'after' });
    await withSink(file, chosen, async (sink) => {
      await sink.deliver([makeEvent({ name: 'before' })], never());
      await truncate(chosen.path);
      const settled = await sink.deliver([after], never());
      expect(settled.get(after.id)).toEqual({ kind: 'delivered', receipt: `${chosen.path}:0` });
      expect(await idsIn(chosen.path)).toEqual([after.id]);
    });
  });

  test.each([
    ['a short one', (line: string) => line.slice(0, 10)],
    ['a long one', (line: string) => line.slice(0, -1)],
    ['NULs', () => '\0'.repeat(4096)],
    ['one of 300,000 characters', (line: string) => line.slice(0, -1).padEnd(300_000, 'x')],
  ])('cuts off a line that a crash cut short, and says so: %s', async (_, cut) => {
    const [whole, torn] = [makeEvent({ name: 'whole' }), makeEvent({ name: 'torn' })];
    const chosen = await placeWith(`${JSON.stringify(whole)}\n${cut(JSON.stringify(torn))}`);
    await withSink(file, chosen, async (sink, host) => {
      expect(host.notes).toEqual([expect.stringContaining(chosen.path)]);
      expect(await idsIn(chosen.path)).toEqual([whole.id]);
      await sink.deliver([torn], never());
      expect(await idsIn(chosen.path)).toEqual([whole.id, torn.id]);
    });
  });

  test('ends a whole last line that lacks only its newline', async () => {
    const [first, last] = [makeEvent({ name: 'first' }), makeEvent({ name: 'last' })];
    const chosen = await placeWith(JSON.stringify(first));
    await withSink(file, chosen, async (sink, host) => {
      await sink.deliver([last], never());
      expect(await idsIn(chosen.path)).toEqual([first.id, last.id]);
      expect(host.notes).toEqual([]);
    });
  });

  test('leaves a file alone that is not its own', async () => {
    const text = 'listen: 8080\n# no newline at the end';
    const chosen = await placeWith(text);
    const fault = await unreachableBy(() => file.open({ path: chosen.path, mode: 0o600 }, testHost(), never()));
    expect(fault.code).toBe('destination-misconfigured');
    expect(await readFile(chosen.path, 'utf8')).toBe(text);
  });

  test.each([
    ['write', 'ENOSPC', 'destination-overloaded'],
    ['datasync', 'EIO', 'destination-unreachable'],
  ] as const)('after a failed %s (%s), what it left is cut off before the next', async (method, code, expected) => {
    const chosen = place();
    const [before, lost, after] = ['before', 'lost', 'after'].map((name) => makeEvent({ name }));
    if (!before || !lost || !after) return;
    await withSink(file, chosen, async (sink) => {
      await sink.deliver([before], never());
      const good = (await stat(chosen.path)).size;
      const spy = await failOnce(method, code);
      const fault = await unreachableBy(() => sink.deliver([lost], never()));
      spy.mockRestore();
      expect(fault.code).toBe(expected);
      expect(fault.message).toContain(chosen.path);
      expect((await stat(chosen.path)).size).toBeGreaterThan(good);
      await sink.deliver([after], never());
      expect(await idsIn(chosen.path)).toEqual([before.id, after.id]);
    });
  });

  test('a signal that aborts between the writes of a large batch ends it, and nothing of it stays', async () => {
    const chosen = place();
    const large = Array.from({ length: 30 }, () => makeEvent({ name: 'x'.repeat(100_000) }));
    const reason = new Error('told to stop');
    await withSink(file, chosen, async (sink) => {
      const stop = new AbortController();
      const prototype = await handlePrototype();
      const real = prototype.write;
      const spy = vi.spyOn(prototype, 'write').mockImplementation(async function (
        this: FileHandle,
        ...given: unknown[]
      ) {
        stop.abort(reason);
        return Reflect.apply(real, this, given);
      });
      await expect(sink.deliver(large, stop.signal)).rejects.toBe(reason);
      expect(spy).toHaveBeenCalledTimes(1);
      spy.mockRestore();
      await sink.deliver(large, never());
      expect(await idsIn(chosen.path)).toEqual(large.map(({ id }) => id));
    });
  });

  test('what a failed write left is cut off when the sink is closed after it', async () => {
    const chosen = place();
    const before = makeEvent({ name: 'before' });
    await withSink(file, chosen, async (sink) => {
      await sink.deliver([before], never());
      const spy = await failOnce('write', 'ENOSPC');
      await unreachableBy(() => sink.deliver([makeEvent({ name: 'lost' })], never()));
      spy.mockRestore();
    });
    expect(await idsIn(chosen.path)).toEqual([before.id]);
  });

  test('a file that was emptied to make room on a full disk begins with the next event', async () => {
    const chosen = place();
    const after = makeEvent({ name: 'after' });
    await withSink(file, chosen, async (sink) => {
      await sink.deliver([makeEvent({ name: 'before' })], never());
      const spy = await failOnce('write', 'ENOSPC');
      await unreachableBy(() => sink.deliver([makeEvent({ name: 'lost' })], never()));
      spy.mockRestore();
      await truncate(chosen.path);
      await sink.deliver([after], never());
      expect(await idsIn(chosen.path)).toEqual([after.id]);
    });
  });

  test('names the path and what to do when it is a folder', async () => {
    const fault = await unreachableBy(() => file.open({ path: folder, mode: 0o600 }, testHost(), never()));
    expect(fault).toMatchObject({ code: 'destination-misconfigured', path: 'connectors.under-test.path' });
    expect(fault.message).toContain(folder);
    expect(fault.suggestion).toContain('folder');
  });

  test.skipIf(process.getuid?.() === 0)(
    'names the user’s rights when the folder is read-only (skipped for root, who may write it)',
    async () => {
      const locked = join(folder, 'locked');
      await mkdir(locked);
      await chmod(locked, 0o500);
      const fault = await unreachableBy(() =>
        file.open({ path: join(locked, 'events.ndjson'), mode: 0o600 }, testHost(), never()),
      );
      expect(fault).toMatchObject({ code: 'destination-misconfigured', suggestion: expect.stringContaining('user') });
    },
  );

  test.each([
    ['nobody else’s by default', undefined, 0o600],
    ['the group’s, too, where that is asked for', '0640', 0o640],
    ['written without its nought', '644', 0o644],
  ])('the file is %s, whatever the umask and whoever made it', async (_, mode, wanted) => {
    const deliver = (place: Place & { readonly path: string }) =>
      withSink(file, { ...place, options: { path: place.path, ...(mode !== undefined && { mode }) } }, (sink) =>
        sink.deliver([makeEvent({ name: 'x' })], never()),
      );
    const fresh = place();
    const before = process.umask(0o000);
    onTestFinished(() => void process.umask(before));
    await deliver(fresh);
    expect((await stat(fresh.path)).mode & 0o777).toBe(wanted);
    expect((await stat(dirname(fresh.path))).mode & 0o777).toBe(0o700);
    const old = await placeWith('');
    await chmod(old.path, 0o666);
    await deliver(old);
    expect((await stat(old.path)).mode & 0o777).toBe(wanted);
    expect(file.options.safeParse({ path: 'x', mode: '0o640' }).success).toBe(false);
    expect(file.options.safeParse({ path: 'x', mode: 640 }).error?.issues[0]?.message).toMatch(/in quotes/);
  });

  test('check finds out about a file that is gone without creating it, and about a folder in its place', async () => {
    const chosen = place();
    await withSink(file, chosen, async (sink) => {
      await rm(dirname(chosen.path), { recursive: true });
      await sink.check(never());
      await expect(stat(dirname(chosen.path))).rejects.toMatchObject({ code: 'ENOENT' });
      await mkdir(chosen.path, { recursive: true });
      expect((await unreachableBy(() => sink.check(never()))).code).toBe('destination-misconfigured');
      await rm(chosen.path, { recursive: true });
      await symlink('/dev/null', chosen.path);
      expect((await unreachableBy(() => sink.check(never()))).message).toContain('regular file');
    });
  });
});

test('the examination finds of a link what a delivery would', async () => {
  const home = join(folder, 'links');
  await mkdir(home);
  await mkdir(join(home, 'there'));
  await symlink('there/events.ndjson', join(home, 'well'));
  await symlink('there', join(home, 'folder'));
  await symlink('/no-such-volume/events.ndjson', join(home, 'nowhere'));
  await symlink('/no-such-volume', join(home, 'unmounted'));
  for (const [name, isWell] of [
    ['well', true],
    ['folder/new/x.ndjson', true],
    ['nowhere', false],
    ['unmounted/x.ndjson', false],
  ] as const) {
    const options = file.options.parse({ path: join(home, name) });
    const states: string[] = [];
    const examine = async (): Promise<void> => {
      for await (const { state } of file.examine(options, testHost(), never())) states.push(state);
    };
    await examine().catch(() => states.push('ill'));
    expect(states, name).toEqual([isWell ? 'well' : 'ill']);
    const opened = file.open(options, testHost(), never()).then(
      async (sink) => sink.close().then(() => true),
      () => false,
    );
    expect(await opened, name).toBe(isWell);
  }
});
