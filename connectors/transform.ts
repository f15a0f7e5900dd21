/** `shape.transform`: a user's function, run under a time limit. */
import { stat } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import vm from 'node:vm';
import type { Entry } from '../src/model/entry.ts';
import { type Fault, messageOf, Unreachable } from '../src/model/fault.ts';
import { isObject } from '../src/model/json.ts';
import { within } from '../src/model/wait.ts';

/** What was made of an event, or why it failed. */
export type Made = { readonly text: string } | { readonly fault: Fault };
export type MakeTexts = (events: readonly Pick<Entry, 'text'>[]) => Promise<readonly Made[]>;

interface TransformSettings {
  /** The module's absolute path. */
  readonly file: string;
  readonly ms: number;
  /** How the YAML names it: `connectors.copy.shape.transform`. */
  readonly path: string;
}

/** How long a module's top level may await something. */
const LOAD_MS = 5_000;

/** Loads the module, and reloads it after a change. The result throws Unreachable while there is no such function. */
export function createTransform({ file, ms, path }: TransformSettings): MakeTexts {
  let loaded: { readonly changedAt: number; readonly make: (value: unknown) => unknown } | undefined;
  const load = async () => {
    try {
      const { mtimeMs } = await stat(file);
      if (loaded?.changedAt === mtimeMs) return loaded.make;
      // An imported module is cached unless its URL differs.
      const imported: Promise<{ default: unknown }> = import(`${pathToFileURL(file)}?changed=${mtimeMs}`);
      if (!(await within(LOAD_MS, imported))) throw new Error(`its top level takes longer than ${LOAD_MS} ms`);
      const { default: make } = await imported;
      if (typeof make !== 'function') throw new TypeError('its default export is no function');
      loaded = { changedAt: mtimeMs, make: (value) => make(value) };
      return loaded.make;
    } catch (thrown) {
      const message = `The module ${file} cannot be used: ${messageOf(thrown)}`;
      const suggestion = 'let it export a function by default: export default (event) => ({ … })';
      throw new Unreachable({ code: 'destination-misconfigured', message, path, suggestion }, thrown);
    }
  };
  const refused = (why: string): Made => ({
    fault: {
      code: 'event-unshaped',
      message: `The transform made nothing of the event: ${why}`,
      path,
      suggestion: 'mend the function, then retry the dead letter',
    },
  });
  return async (events) => {
    const make = await load();
    const made: Made[] = [];
    const rest = (): void => {
      for (const { text } of events.slice(made.length)) {
        try {
          made.push({ text: textOf(make(JSON.parse(text))) });
        } catch (thrown) {
          made.push(refused(messageOf(thrown)));
        }
      }
    };
    let cut = 0;
    while (made.length < events.length) {
      const before = made.length;
      if (endsWithin(ms, rest)) break;
      cut = made.length === before ? cut + 1 : 0;
      // Blames only an event that had the whole time to itself, and only the second time: the machine may have stalled.
      if (cut < 2) continue;
      made.push(refused(`it took longer than ${ms} ms`));
      cut = 0;
    }
    return made;
  };
}

/** Throws if a value is not an object that JSON can hold. */
function textOf(value: unknown): string {
  // An unhandled rejection would end the thread, and all lanes with it.
  if (value instanceof Promise) value.catch(() => {});
  if (!isObject(value)) throw new TypeError('it returned no object');
  if (typeof value.then === 'function') throw new TypeError('it returned a promise, and a value is expected');
  const text: string | undefined = JSON.stringify(value);
  // A Date is an object, but not once it is written; of a Map or an Error nothing is written.
  const isWritten =
    text === '{}' ? [Object.prototype, null].includes(Object.getPrototypeOf(value)) : text?.startsWith('{');
  if (!isWritten) throw new TypeError('it returned no object that JSON can hold');
  return text;
}

const context = vm.createContext({ work: undefined });
const call = new vm.Script('work()');

/** Runs the work for at most this long; nothing else can stop an endless loop. */
function endsWithin(ms: number, work: () => void): boolean {
  context.work = work;
  try {
    call.runInContext(context, { timeout: ms });
    return true;
  } catch (thrown) {
    // It is an Error of that context, not of this one.
    if (isObject(thrown) && thrown.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return false;
    throw thrown;
  } finally {
    context.work = undefined;
  }
}
