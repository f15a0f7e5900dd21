// Prints the true counts of a vitest JSON report as one plain line, the last one; a file that failed to load counts as a
// failure. Before it, each test that was skipped, and each that passed only when it was tried again.
import { readFileSync } from 'node:fs';

const report = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const broken = report.testResults.filter(
  (file) => file.status === 'failed' && file.assertionResults.length === 0,
).length;
const tests = report.testResults.flatMap(({ assertionResults }) => assertionResults);
for (const { fullName, status, failureMessages } of tests) {
  if (status === 'pending' || status === 'skipped') console.log(`skipped: ${fullName}`);
  if (status !== 'passed' || failureMessages.length === 0) continue;
  console.log(`passed when tried again: ${fullName}\n  ${failureMessages[0].split('\n')[0]}`);
}
const failed = report.numFailedTests + broken;
const skipped = report.numPendingTests + (report.numTodoTests ?? 0);
if (report.numPassedTests === 0) process.exitCode = 1;
console.log(`${report.numPassedTests} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
