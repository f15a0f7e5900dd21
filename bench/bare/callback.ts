import { z } from 'zod';

/** The shape of the one callback, as the bare servers on Hono check it. */
export const callback = z.looseObject({
  CallbackCommand: z.literal('Group.CallbackAfterGroupInfoChanged'),
  GroupId: z.string().min(1).max(96),
  Type: z.string(),
  Operator_Account: z.string(),
  EventTime: z.union([z.number(), z.string()]).optional(),
  Name: z.string().optional(),
  Introduction: z.string().optional(),
  Notification: z.string().optional(),
  FaceUrl: z.string().optional(),
});

export type Callback = z.infer<typeof callback>;
