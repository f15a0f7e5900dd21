import { hash } from 'node:crypto';
import type { Fault, FaultCode } from './fault.ts';

/** What several refusals have in common. */
export interface Cause {
  /** The same for the same code and reason, in every process. */
  readonly id: string;
  readonly code: FaultCode;
  /** The fault's message without what differs from event to event. */
  readonly reason: string;
}

/** What in a message is specific to one event: values, ids, numbers. */
const OWN: readonly [RegExp, string][] = [
  // The apostrophe in this sentence would pair with a quote. A long message is cut, perhaps within a quotation.
  [/Preview of field's value: '(?:.*'(?=$|\W)|.*)/gs, 'Preview of the value: …'],
  [/@TGS#[^\s'"\],;:]+/g, '…'],
  [/(?<!\w)'[^']*(?:'(?!\w)|$)|"[^"]*(?:"|$)|‘[^’]*(?:’|$)|“[^”]*(?:”|$)|`[^`]*(?:`|$)/g, '…'],
  [/\b(?=[A-Za-z_-]*\d)[\w-]{16,}\b/g, '…'],
  [/\d+(?:[.,:_]\d+)*/g, '#'],
];

export function causeOf({ code, message }: Fault): Cause {
  const reason = OWN.reduce((text, [own, instead]) => text.replace(own, instead), message);
  const id = hash('sha256', `${code} ${reason}`).slice(0, 12);
  return { id, code, reason };
}
