import { z } from 'zod';
import {
  type ChangedFields,
  type EventType,
  MAX_GROUP_ID_BYTES,
  PROFILE_FIELDS,
  type ProfileField,
} from '../model/event.ts';
import { accepted, type Checked, refused } from '../model/fault.ts';

/** The callback this bridge exists for. */
export const GROUP_INFO_CHANGED = 'Group.CallbackAfterGroupInfoChanged';

type Body = Readonly<Record<string, unknown>>;

/** A command that becomes an event. */
export interface Command {
  /** Checks a body and says it in the event's words. A refusal names every field that is wrong. */
  read(body: Body): Checked<Callback>;
}

/** A callback that its command's schema accepts, in the event's words. */
export type Callback = ReturnType<typeof inEventWords>;

const groupId = z
  .string()
  .min(1, { error: 'it is empty' })
  .refine((text) => text.isWellFormed() && Buffer.byteLength(text) <= MAX_GROUP_ID_BYTES, {
    error: `it is longer than ${MAX_GROUP_ID_BYTES} bytes or not well-formed Unicode`,
  });

const error = 'milliseconds since 1970 are expected, as a number or a string of digits';
/** Milliseconds since 1970; callbacks before 2022 have none. */
const eventTime = z.union([z.number({ error }).nonnegative({ error }), z.string().regex(/^\d+$/, { error })], {
  error,
});

const common = z.object({
  CallbackCommand: z.string(),
  GroupId: groupId,
  Type: z.string(),
  EventTime: eventTime.optional(),
});

const account = z.string();
const text = z.string().optional();
/** Group custom fields, documented until 2020. Another shape under this key is treated as an unknown field. */
const customFields = z
  .array(z.object({ Key: z.string(), Value: z.string() }))
  .optional()
  .catch(undefined);

/** The profile fields in the service's words. */
const PROFILE = {
  name: 'Name',
  introduction: 'Introduction',
  notification: 'Notification',
  faceUrl: 'FaceUrl',
} as const;

type Account = `${'Operator' | 'Owner' | 'OldOwner' | 'NewOwner'}_Account`;
/** Every field that some command knows. A command's schema leaves out those that it does not know. */
type Fields = z.output<typeof common> &
  Partial<Record<(typeof PROFILE)[ProfileField] | Account, string | undefined>> & {
    readonly UserDefinedDataList?: z.output<typeof customFields>;
  };

function inEventWords(type: EventType, body: Body, fields: Fields) {
  return {
    type,
    command: fields.CallbackCommand,
    groupId: fields.GroupId,
    groupType: fields.Type,
    eventTime: fields.EventTime,
    operator: fields.Operator_Account,
    owner: fields.NewOwner_Account ?? fields.Owner_Account,
    previousOwner: fields.OldOwner_Account,
    changed: changedFields(fields),
    /** The fields of the body that the schema does not know, as they came. */
    extra: withoutKnown(body, fields),
  };
}

function complain(body: Body, { issues }: z.ZodError): Checked<never> {
  const complaints = issues.map((issue) => {
    const field = issue.path.join('.');
    return !(field in body) ? `${field} is missing` : `${field}: ${issue.message}`;
  });
  const path = issues[0]?.path.join('.');
  return refused({ code: 'callback-invalid', message: complaints.join('; '), ...(path !== undefined && { path }) });
}

/** Own-property reads: zod leaves out a `__proto__` key, which is kept, as all that is unknown. */
function withoutKnown(body: Body, fields: Body): Record<string, unknown> {
  const known = (key: string): boolean => Object.hasOwn(fields, key) && fields[key] !== undefined;
  return Object.fromEntries(Object.entries(body).filter(([key]) => !known(key)));
}

/** `""` is a cleared field and stays; only an absent key is unchanged. */
function changedFields(fields: Fields): ChangedFields {
  const changed: ChangedFields = {};
  for (const field of PROFILE_FIELDS) {
    const value = fields[PROFILE[field]];
    if (value !== undefined) changed[field] = value;
  }
  const custom = fields.UserDefinedDataList;
  if (custom !== undefined) changed.customFields = Object.fromEntries(custom.map(({ Key, Value }) => [Key, Value]));
  return changed;
}

const SCHEMAS: Readonly<Record<string, readonly [EventType, z.ZodType<Fields>]>> = {
  [GROUP_INFO_CHANGED]: [
    'chat.group.info.changed',
    common.extend({
      Operator_Account: account,
      Name: text,
      Introduction: text,
      Notification: text,
      FaceUrl: text,
      UserDefinedDataList: customFields,
    }),
  ],
  'Group.CallbackAfterCreateGroup': [
    'chat.group.created',
    common.extend({ Operator_Account: account, Owner_Account: text, Name: text, UserDefinedDataList: customFields }),
  ],
  // Name and member list describe the group at its end; they are no changes and stay in `extra`.
  'Group.CallbackAfterGroupDestroyed': [
    'chat.group.destroyed',
    common.extend({ Operator_Account: text, Owner_Account: text }),
  ],
  'Group.CallbackAfterChangeGroupOwner': [
    'chat.group.owner.changed',
    common.extend({ Operator_Account: account, OldOwner_Account: text, NewOwner_Account: account }),
  ],
};

/** Commands that become events, by name. */
export const COMMANDS: ReadonlyMap<string, Command> = new Map(
  Object.entries(SCHEMAS).map(([name, [type, schema]]) => {
    const read = (body: Body): Checked<Callback> => {
      const { success, data, error } = schema.safeParse(body);
      return success ? accepted(inEventWords(type, body, data)) : complain(body, error);
    };
    return [name, { read }];
  }),
);
/** Commands that the vendor documents: a metric's label stays bounded, whatever is sent. */
const DOCUMENTED = new Set([
  ...COMMANDS.keys(),
  'Group.CallbackAfterTopicInfoChanged',
  'Group.CallbackAfterNewMemberJoin',
  'Group.CallbackAfterMemberExit',
  'Group.CallbackAfterSendMsg',
  'Group.CallbackAfterGroupFull',
  'Group.CallbackOnDailyGroupQuotaAlarm',
  'Group.CallbackBeforeCreateGroup',
  'Group.CallbackBeforeApplyJoinGroup',
  'Group.CallbackBeforeInviteJoinGroup',
  'Group.CallbackBeforeSendMsg',
  'Group.CallbackBeforeCreateTopic',
  'C2C.CallbackBeforeSendMsg',
  'C2C.CallbackAfterSendMsg',
  'Sns.CallbackPrevFriendAdd',
  'Sns.CallbackPrevFriendResponse',
  'State.StateChange',
  'Alert.RequestOverLimit',
]);

/** Returns the command as a metric's label. */
export function commandLabel(command: string | undefined): string {
  if (command === undefined) return 'none';
  return DOCUMENTED.has(command) ? command : 'other';
}
