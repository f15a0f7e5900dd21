/** `shape.transform`: a function of the user's own, run under a time limit. */
import { stat } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import vm from 'node:vm';
import type { Entry } from '../src/model/entry.ts';
import { type Fault, messageOf, Unreachable } from '../src/model/fault.ts';
import { isObject } from '../src/model/json.ts';
import { within } from '../src/model/wait.ts';

/** What was made of an event, or why nothing was. */
export type Made = { readonly text: string } | { readonly fault: Fault };
export type MakeTexts = (events: readonly Pick<Entry, 'text'>[]) => Promise<readonly Made[]>;

interface TransformSettings {
  /** The module's whole path. */
  readonly file: string;
  readonly ms: number;
  /** How the YAML names it: `connectors.copy.shape.transform`. */
  readonly path: string;
}

/** How long a module may wait for something at its top level. */
const LOAD_MS = 5_000;

/** Loads the module, and again once it has changed. What it returns throws Unreachable while there is no such function. */
export function createTransform({ file, ms, path }: TransformSettings): MakeTexts {
  let loaded: { readonly changedAt: number; readonly make: (value: unknown) => unknown } | undefined;
  const load = async () => {
    try {
      const { mtimeMs } = await stat(file);
      if (loaded?.changedAt === mtimeMs) return loaded.make;
      // A module that was imported stays as it was, unless its name is another.
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
      // Only one that had the whole time to itself is to blame, and only the second time: the machine may have stalled.
      if (cut < 2) continue;
      made.push(refused(`it took longer than ${ms} ms`));
      cut = 0;
    }
    return made;
  };
}

/** Throws where a value is no object that JSON can hold. */
function textOf(value: unknown): string {
  // A rejection that nobody takes would end the thread, and all lanes with it.
  if (value instanceof Promise) value.catch(() => {});
  if (!isObject(value)) throw new TypeError('it returned no object');
  if (typeof value.then === 'function') throw new TypeError('it returned a promise, and a value is expected');
  const text: string | undefined = JSON.stringify(value);
  // A Date is an object, and no object once it is written; of a Map or an Error nothing is.
  const isWritten =
    text === '{}' ? [Object.prototype, null].includes(Object.getPrototypeOf(value)) : text?.startsWith('{');
  if (!isWritten) throw new TypeError('it returned no object that JSON can hold');
  return text;
}

const context = vm.createContext({ work: undefined });
const call = new vm.Script('work()');

/** Does the work unless it takes longer; nothing but this can end a loop that does not end. */
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
