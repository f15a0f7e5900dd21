/** The service's names of its callbacks, which it calls commands: `CallbackCommand` in query and body. */

/** The callback this bridge exists for. */
export const GROUP_INFO_CHANGED = 'Group.CallbackAfterGroupInfoChanged';

/** The commands that become events. */
export const RECORDED_COMMANDS = [
  GROUP_INFO_CHANGED,
  'Group.CallbackAfterCreateGroup',
  'Group.CallbackAfterGroupDestroyed',
  'Group.CallbackAfterChangeGroupOwner',
] as const;
export type RecordedCommand = (typeof RECORDED_COMMANDS)[number];

/** Tells whether the service asks for permission by this command: an OK would allow the action. */
export function isBeforeCallback(command: string): boolean {
  return /Callback(Before|Prev)/i.test(command);
}
