/** docs/reference/errors.md: every code that the bridge can name, with status, exit and what to do. */
import { FAULTS, type FaultCode } from '../src/model/fault.ts';
import { FAULT_GUIDE } from './fault-guide.ts';

const LEAD = `Every failure has a code that stays the same: search for it, or let an alert match \`code\` in the log. *Status* is what the
receiver answers a callback with, or the admin server a request, *exit* what a command exits with. Messages name the setting
or field concerned and say what to do; this table says it once more for each code.`;

export function errorPage(): string {
  return ['# Errors', LEAD, ...FAULT_GUIDE.flatMap(({ title, faults }) => [`## ${title}`, table(faults)])].join('\n\n');
}

function table(faults: Partial<Record<FaultCode, readonly [means: string, remedy: string]>>): string {
  const rows = Object.entries(faults).map(([code, [means, remedy]]) => {
    const { status, admin, exit } = FAULTS[code as FaultCode];
    return `| \`${code}\` | ${status ?? admin ?? ''} | ${exit ?? ''} | ${means} | ${remedy} |`;
  });
  return ['| code | status | exit | what it means | what to do |', '|---|---|---|---|---|', ...rows].join('\n');
}
