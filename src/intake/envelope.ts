import { describeFault, type HttpFault, httpStatus } from '../model/fault.ts';

export const OK_ENVELOPE = '{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}';

/** The vendor's reply envelope; ErrorCode is the HTTP status. */
export function failEnvelope(fault: HttpFault): string {
  return JSON.stringify({ ActionStatus: 'FAIL', ErrorInfo: describeFault(fault), ErrorCode: httpStatus(fault.code) });
}
