import { describeFault, type HttpFault, httpStatus } from '../model/fault.ts';

export const OK_ENVELOPE = '{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}';

/** Returns the vendor's envelope of a refusal; ErrorCode is the HTTP status. */
export function failEnvelope(fault: HttpFault): string {
  return JSON.stringify({ ActionStatus: 'FAIL', ErrorInfo: describeFault(fault), ErrorCode: httpStatus(fault.code) });
}

/** Returns the envelope for what is no HTTP request. */
export function malformedEnvelope(why: string): string {
  return failEnvelope({ code: 'query-invalid', message: why });
}
