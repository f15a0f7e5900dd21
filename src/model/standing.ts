/** The status of an event, and of a group's copy, at one connector. */
import { z } from 'zod';
import { FAULT_CODES } from './fault.ts';

export const fault = z.object({
  /** A bridge of another version may have codes that are unknown here. */
  code: z.enum(FAULT_CODES).catch('command-failed'),
  message: z.string(),
  path: z.string().exactOptional(),
  suggestion: z.string().exactOptional(),
});

/** One connector's copy of a group, compared with the journal. */
export const groupCopy = z.object({
  connector: z.string(),
  kind: z.string(),
  /**
   * - in-step: the destination holds the journal's state or, if it is not read back, all of the group's events are
   *   delivered.
   * - differs, missing: as it was read back.
   * - behind: an event of the group is not taken yet. waiting: one waits for its retry. dead: one is a dead letter.
   * - filtered: none of the group's events is for this connector.
   * - unknown: it could not be read back.
   */
  standing: z.enum(['in-step', 'differs', 'missing', 'behind', 'waiting', 'dead', 'filtered', 'unknown']),
  /** Where it is: 'chat.group-info.events/3@1042', 'chat-groups/_doc/@TGS#…'. Absent if unknown. */
  where: z.string().exactOptional(),
  /** Fields that differ from the journal's state, if the copy can be read back. */
  differs: z.array(z.string()).readonly().exactOptional(),
  /** Why it is unknown, waits or is dead. */
  fault: fault.exactOptional(),
});
export type GroupCopy = Readonly<z.output<typeof groupCopy>>;

/** What became of one event at one connector. */
export const eventCopy = z.object({
  connector: z.string(),
  kind: z.string(),
  /**
   * - delivered; superseded: something newer was there already.
   * - behind: it was not tried yet. waiting: for its retry, or for an earlier event of its group. dead: it is a dead letter.
   * - discarded: it was a dead letter. filtered: it is not for this connector.
   */
  standing: z.enum(['delivered', 'superseded', 'behind', 'waiting', 'dead', 'discarded', 'filtered']),
  /** Where it is and when it was delivered, in milliseconds since 1970; absent if unknown. */
  where: z.string().exactOptional(),
  at: z.number().exactOptional(),
  attempts: z.int().nonnegative().exactOptional(),
  fault: fault.exactOptional(),
});
export type EventCopy = Readonly<z.output<typeof eventCopy>>;
