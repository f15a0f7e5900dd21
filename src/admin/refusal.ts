import type { Context } from 'hono';
import { z } from 'zod';
import { formatPath } from '../config/problems.ts';
import { adminStatus, BridgeError, type Fault, messageOf } from '../model/fault.ts';

/** Answers with a fault; without a status, with that of its code. */
export function refuse(context: Context, fault: Fault, status?: 403 | 404 | 413 | 415 | 500) {
  return context.json({ fault }, status ?? adminStatus(fault.code));
}

/** Returns the body that answers what is no HTTP request, as all other refusals of an admin server. */
export function malformedBody(why: string): string {
  const fault: Fault = { code: 'usage', message: why };
  return JSON.stringify({ fault });
}

/** Answers what a handler threw. */
export function answerError(thrown: Error, context: Context): Response {
  if (thrown instanceof BridgeError) {
    const { fault } = thrown;
    // A configuration that is refused comes with its problems, one by one.
    const problems = 'problems' in thrown ? { problems: thrown.problems } : {};
    return context.json({ fault, ...problems }, adminStatus(fault.code));
  }
  if (thrown instanceof z.ZodError) return refuse(context, { code: 'usage', message: complaintOf(thrown) });
  if (thrown instanceof SyntaxError) return refuse(context, { code: 'usage', message: thrown.message });
  return refuse(context, { code: 'internal', message: messageOf(thrown) }, 500);
}

/** zod's sentences about what people type most often, in plain words. */
const PLAIN: readonly (readonly [RegExp, string])[] = [
  [/^Invalid input: expected .+, received undefined$/, 'it is missing'],
  [/^Invalid input: expected (number|int), received NaN$/, 'a number is expected'],
  [/^Too small: expected number to be >=(\d+)$/, 'at least $1 is expected'],
  [/^Too small: expected number to be >(\d+)$/, 'more than $1 is expected'],
  [/^Too big: expected number to be <=?(\d+)$/, 'at most $1 is expected'],
  [/^Too big: expected int to be <=\d+$/, 'a smaller number is expected'],
  [/^Unrecognized keys?: (.+)$/, 'not known here: $1'],
  [/^Too small: expected string to have >=1 characters$/, 'at least 1 character is expected'],
];

/** Says in one line what is wrong with a request, each with its place. */
function complaintOf({ issues }: z.ZodError): string {
  const said = issues.map(({ path, message }) => {
    const plain = PLAIN.reduce((text, [zods, ours]) => text.replace(zods, ours), message);
    return path.length === 0 ? plain : `${formatPath(path)}: ${plain}`;
  });
  return said.join('; ');
}
