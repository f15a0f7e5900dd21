/**
 * Tells whether the service asks for permission by this command (a callback's name in its protocol): an OK would allow the
 * action.
 */
export function isBeforeCallback(command: string): boolean {
  return /Callback(Before|Prev)/i.test(command);
}
