import type { Context } from 'hono';
import { z } from 'zod';
import { formatPath } from '../config/problems.ts';
import { issuesOf } from '../model/complaint.ts';
import { adminStatus, BridgeError, type Fault, messageOf } from '../model/fault.ts';

/** Answers with a fault; by default, with the status of its code. */
export function refuse(context: Context, fault: Fault, status?: 403 | 404 | 413 | 415 | 500) {
  return context.json({ fault }, status ?? adminStatus(fault.code));
}

/** Returns the body of the answer to what is not HTTP, in the form of all refusals. */
export function malformedBody(why: string): string {
  const fault: Fault = { code: 'usage', message: why };
  return JSON.stringify({ fault });
}

export function answerError(thrown: Error, context: Context): Response {
  if (thrown instanceof BridgeError) {
    const { fault } = thrown;
    // A refused configuration lists its problems.
    const problems = 'problems' in thrown ? { problems: thrown.problems } : {};
    return context.json({ fault, ...problems }, adminStatus(fault.code));
  }
  if (thrown instanceof z.ZodError) return refuse(context, { code: 'usage', message: issuesOf(thrown, formatPath) });
  if (thrown instanceof SyntaxError) return refuse(context, { code: 'usage', message: thrown.message });
  return refuse(context, { code: 'internal', message: messageOf(thrown) }, 500);
}
