/** docs/reference/service-codes.md: what the error codes of the vendor's REST API mean for reconcile. */
import { CODE_CLASSES, type CodeClass, UNKNOWN } from '../src/reconcile/codes.ts';

const LEAD = `The error codes of the service's REST API, as its tables of several years have them, and what \`reconcile\` makes of each. A code
that passes is tried again with growing delays, up to eight times; one that nobody knows three times. A code about a list leaves the other
lists alone, one about a group the other groups; one about the caller ends the run, exit 1.`;

const AGAIN = { later: 'yes', renewed: 'once, with a new signature', less: 'for less', no: 'no' } as const;
const ABOUT = {
  caller: 'the app or the caller',
  list: 'one list',
  group: 'one group',
  moment: 'nothing that lasts',
} as const;

export function serviceCodePage(): string {
  const rows = Object.values<CodeClass>({ ...CODE_CLASSES, UNKNOWN }).map(
    ({ codes, says, about, again, setting, advice }) => {
      const listed = codes.length === 0 ? 'any other' : [...codes].sort((a, b) => a - b).join(', ');
      const named = setting === undefined ? '' : `\`${setting.includes('.') ? setting : `reconcile.api.${setting}`}\``;
      return `| ${listed} | ${says} | ${ABOUT[about]} | ${AGAIN[again]} | ${named} | ${advice} |`;
    },
  );
  const head = '| code | what it means | it is about | tried again | setting | what to do |\n|---|---|---|---|---|---|';
  return ['# Codes of the service', LEAD, [head, ...rows].join('\n')].join('\n\n');
}
