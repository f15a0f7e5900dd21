/** The service's error codes, from its tables of several years: what each means for a run, and what a person can do. */
import type { FaultCode } from '../model/fault.ts';

export interface CodeClass {
  readonly fault: FaultCode & `service-${string}`;
  /** Which call may succeed: the same one `later`, one with a `renewed` signature, one that asks for `less`, or none. */
  readonly again: 'later' | 'renewed' | 'less' | 'no';
  /** What it concerns: the caller or app, so that no call can succeed; one list or group; or only this `moment`. */
  readonly about: 'caller' | 'list' | 'group' | 'moment';
  /** The setting concerned: of `reconcile.api`, unless it names another section. */
  readonly setting?: string;
  readonly says: string;
  readonly advice: string;
  readonly codes: readonly number[];
}

const passing = { again: 'later', about: 'moment' } as const;
const lasting = { again: 'no', about: 'caller' } as const;

export const CODE_CLASSES = {
  internal: {
    ...passing,
    fault: 'service-unreachable',
    says: 'the service failed internally',
    advice: 'try later: reconcile resumes where it stopped',
    codes: [
      10_002, 60_004, 60_005, 60_008, 60_013, 60_014, 70_018, 70_019, 70_169, 70_202, 70_346, 70_347, 70_348, 70_362,
      70_369, 70_401, 70_500, 90_994, 91_000,
    ],
  },
  rate: {
    ...passing,
    fault: 'service-overloaded',
    setting: 'callsPerSecond',
    says: 'too many requests',
    advice: 'lower it: the limit is for the whole app, with other callers',
    codes: [10_006, 10_023, 60_007, 60_011, 60_017, 60_018, 60_019, 70_050],
  },
  expired: {
    fault: 'service-credentials',
    again: 'renewed',
    about: 'caller',
    setting: 'secretKey',
    says: 'it considers the signature expired',
    advice: 'check this machine’s clock',
    codes: [70_001, 70_052],
  },
  signature: {
    ...lasting,
    fault: 'service-credentials',
    setting: 'secretKey',
    says: 'it refuses the signature',
    advice: 'compare secretKey with the key of this app in the console, and identifier with an admin of the app',
    codes: [70_002, 70_003, 70_004, 70_005, 70_006, 70_007, 70_008, 70_009, 70_010, 70_015, 70_017],
  },
  identifier: {
    ...lasting,
    fault: 'service-credentials',
    setting: 'identifier',
    says: 'the caller is not an admin of the app',
    advice: 'name an account that the console lists as an admin of the app',
    codes: [10_007, 60_010, 70_013, 70_051, 70_107, 70_403],
  },
  app: {
    ...lasting,
    fault: 'service-credentials',
    setting: 'app.sdkAppId',
    says: 'it does not know this app',
    advice: 'compare app.sdkAppId with the console',
    codes: [60_006, 60_012, 70_014],
  },
  region: {
    ...lasting,
    fault: 'service-refused',
    setting: 'baseUrl',
    says: 'the app belongs to another region',
    advice: 'set baseUrl to the domain of the app’s region (data centre)',
    codes: [60_026, 70_016, 70_020],
  },
  plan: {
    ...lasting,
    fault: 'service-refused',
    says: 'the app’s plan does not allow the call',
    advice: 'check the app in the console: stopped, in arrears, expired, or beyond what its trial or plan includes',
    codes: [60_016, 60_020, 60_028, 70_398],
  },
  address: {
    ...lasting,
    fault: 'service-refused',
    says: 'this machine’s IP address may not call',
    advice: 'add the IP address from which this machine calls to the list in the console',
    codes: [60_021],
  },
  request: {
    ...lasting,
    fault: 'service-refused',
    setting: 'baseUrl',
    says: 'it does not understand the call',
    advice: 'check that baseUrl points to the REST API, and the proxies in between',
    codes: [60_002, 60_003, 60_009, 60_015, 10_003, 10_011],
  },
  feature: {
    fault: 'service-refused',
    again: 'no',
    about: 'list',
    setting: 'reconcile.groupTypes',
    says: 'this type of groups is not switched on for the app',
    advice: 'leave the type out, or switch it on in the console',
    codes: [11_000, 10_035],
  },
  gone: {
    fault: 'service-refused',
    again: 'no',
    about: 'group',
    says: 'there is no such group',
    advice: 'it was destroyed, or never existed',
    codes: [10_010, 10_015],
  },
  parameter: {
    fault: 'service-refused',
    again: 'no',
    about: 'group',
    says: 'it refuses a parameter',
    advice: 'check the id of the group',
    codes: [10_004, 10_005, 10_012, 10_025, 70_402],
  },
  tooLarge: {
    fault: 'service-refused',
    again: 'less',
    about: 'group',
    says: 'the answer would be too large',
    advice: 'the group is too large even alone: shorten its texts',
    codes: [10_018],
  },
} as const satisfies Record<string, CodeClass>;

export const UNKNOWN: CodeClass = {
  fault: 'service-refused',
  again: 'later',
  about: 'list',
  says: 'it refuses the call',
  advice: 'look the code up in the vendor’s tables of error codes',
  codes: [],
};

const BY_CODE = new Map<number, CodeClass>(
  Object.values(CODE_CLASSES).flatMap((one: CodeClass) => one.codes.map((code) => [code, one] as const)),
);

/** Returns the class of a code; undefined for 0. Unknown codes from 70200 to 70299 are the service's own trouble. */
export function classOf(code: number): CodeClass | undefined {
  if (code === 0) return undefined;
  return BY_CODE.get(code) ?? (code >= 70_200 && code < 70_300 ? CODE_CLASSES.internal : UNKNOWN);
}
