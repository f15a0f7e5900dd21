/** A "before" command asks for leave: an OK would allow the action. */
export function asksForLeave(command: string): boolean {
  return /Callback(Before|Prev)/i.test(command);
}
