import { z } from 'zod';
import { type ChangedFields, type EventType, MAX_GROUP_ID_BYTES } from '../model/event.ts';
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
export interface Callback extends Extracted {
  readonly command: string;
  readonly type: EventType;
  readonly groupId: string;
  readonly groupType: string;
  readonly eventTime: number | string | undefined;
  /** The fields of the body that the schema does not know, as they came. */
  readonly extra: Readonly<Record<string, unknown>>;
}

/** The part of a callback that differs from command to command. */
interface Extracted {
  readonly operator?: string | undefined;
  readonly owner?: string | undefined;
  readonly previousOwner?: string | undefined;
  readonly changed: ChangedFields;
}

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

function defineCommand<Shape extends z.ZodRawShape>(
  command: string,
  type: EventType,
  shape: Shape,
  extract: (fields: z.output<z.ZodObject<Shape>>) => Extracted,
): readonly [string, Command] {
  const schema = z.object({ ...common.shape, ...shape });
  const read = (body: Body): Checked<Callback> => {
    const parsed = schema.safeParse(body);
    if (!parsed.success) return complain(body, parsed.error);
    // The type of an extension by a generic shape forgets its parts; the schema does not.
    const fields = parsed.data as z.output<typeof common> & z.output<z.ZodObject<Shape>>;
    return accepted({
      command,
      type,
      groupId: fields.GroupId,
      groupType: fields.Type,
      eventTime: fields.EventTime,
      ...extract(fields),
      extra: withoutKnown(body, fields),
    });
  };
  return [command, { read }];
}

function complain(body: Body, { issues }: z.ZodError): Checked<never> {
  const complaints = issues.map((issue) => {
    const field = issue.path.join('.');
    return !(field in body) ? `${field} is missing` : `${field}: ${issue.message}`;
  });
  const path = issues[0]?.path.join('.');
  return refused({
    code: 'callback-invalid',
    message: complaints.join('; '),
    ...(path !== undefined && { path }),
  });
}

/** Own-property reads: zod leaves out a `__proto__` key, which is kept, as all that is unknown. */
function withoutKnown(body: Body, fields: Body): Record<string, unknown> {
  const known = (key: string): boolean => Object.hasOwn(fields, key) && fields[key] !== undefined;
  return Object.fromEntries(Object.entries(body).filter(([key]) => !known(key)));
}

interface Profile {
  readonly Name?: string | undefined;
  readonly Introduction?: string | undefined;
  readonly Notification?: string | undefined;
  readonly FaceUrl?: string | undefined;
  readonly UserDefinedDataList?: readonly { Key: string; Value: string }[] | undefined;
}

/** `""` is a cleared field and stays; only an absent key is unchanged. */
function changedFields({ Name, Introduction, Notification, FaceUrl, UserDefinedDataList }: Profile): ChangedFields {
  const changed: { -readonly [Field in keyof ChangedFields]: ChangedFields[Field] } = {};
  if (Name !== undefined) changed.name = Name;
  if (Introduction !== undefined) changed.introduction = Introduction;
  if (Notification !== undefined) changed.notification = Notification;
  if (FaceUrl !== undefined) changed.faceUrl = FaceUrl;
  if (UserDefinedDataList !== undefined) {
    changed.customFields = Object.fromEntries(UserDefinedDataList.map(({ Key, Value }) => [Key, Value]));
  }
  return changed;
}

/** Commands that become events, by name. */
export const COMMANDS: ReadonlyMap<string, Command> = new Map([
  defineCommand(
    GROUP_INFO_CHANGED,
    'chat.group.info.changed',
    {
      Operator_Account: account,
      Name: text,
      Introduction: text,
      Notification: text,
      FaceUrl: text,
      UserDefinedDataList: customFields,
    },
    (fields) => ({ operator: fields.Operator_Account, changed: changedFields(fields) }),
  ),
  defineCommand(
    'Group.CallbackAfterCreateGroup',
    'chat.group.created',
    { Operator_Account: account, Owner_Account: text, Name: text, UserDefinedDataList: customFields },
    (fields) => ({ operator: fields.Operator_Account, owner: fields.Owner_Account, changed: changedFields(fields) }),
  ),
  defineCommand(
    'Group.CallbackAfterGroupDestroyed',
    'chat.group.destroyed',
    // Name and member list describe the group at its end; they are no changes and stay in `extra`.
    { Operator_Account: text, Owner_Account: text },
    (fields) => ({ operator: fields.Operator_Account, owner: fields.Owner_Account, changed: {} }),
  ),
  defineCommand(
    'Group.CallbackAfterChangeGroupOwner',
    'chat.group.owner.changed',
    { Operator_Account: account, OldOwner_Account: text, NewOwner_Account: account },
    (fields) => ({
      operator: fields.Operator_Account,
      owner: fields.NewOwner_Account,
      previousOwner: fields.OldOwner_Account,
      changed: {},
    }),
  ),
]);

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
