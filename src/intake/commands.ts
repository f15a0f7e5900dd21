import { z } from 'zod';
import { plainly } from '../model/complaint.ts';
import {
  type ChangedFields,
  type EventType,
  isGroupId,
  NO_GROUP_ID,
  PROFILE_FIELDS,
  type ProfileField,
} from '../model/event.ts';
import { accepted, type Checked, refused } from '../model/fault.ts';
import { CUSTOM_BOUNDS, fits } from '../model/group.ts';
import { didYouMean, truncate } from '../model/text.ts';

/** The callback this bridge exists for. */
export const GROUP_INFO_CHANGED = 'Group.CallbackAfterGroupInfoChanged';

type Body = Readonly<Record<string, unknown>>;

export interface Reading {
  /** Whether a change of the wrong type refuses the callback (it is then quarantined), instead of being left out. */
  readonly strict: boolean;
  /** Unknown fields to leave out of the event. */
  readonly drop: readonly string[];
}

/** Checks the body of a command and translates it into the event's terms. A refusal names every wrong field. */
export type ReadCommand = (body: Body, reading?: Reading) => Checked<Callback>;

/** A callback that its command's schema accepts, in the event's terms. */
export type Callback = ReturnType<typeof inEventWords>;

/** What a callback is about: without it there is nothing to record. */
const needed = z.string().min(1, { error: 'it is empty' });
const groupId = needed.refine(isGroupId, { error: `it is ${NO_GROUP_ID}` });

/** Accounts and types; the service’s own have 32 bytes. */
const MOST_ACCOUNT = 512;

/** Additional information: in another shape it counts as absent, and is kept as an unknown field. */
const told = z.string().min(1).max(MOST_ACCOUNT).optional().catch(undefined);
/** A field to change: `""` clears it, null leaves it unchanged. */
const change = z.string().nullish();

const common = z.object({
  GroupId: groupId,
  Type: told,
  /** Milliseconds since 1970; callbacks before 2022 have none. */
  EventTime: z
    .union([z.number().nonnegative(), z.string().regex(/^\d+$/)])
    .optional()
    .catch(undefined),
});

const customField = z.object({ Key: z.string(), Value: z.string() });
/** Group custom fields, documented until 2020. */
const customFields = z.array(z.unknown()).optional().catch(undefined);

/** The profile fields, by the service's names. */
const PROFILE = {
  name: 'Name',
  introduction: 'Introduction',
  notification: 'Notification',
  faceUrl: 'FaceUrl',
} as const;

type Account = `${'Operator' | 'Owner' | 'OldOwner' | 'NewOwner'}_Account`;
/** Every field that some command knows. The schema of a command leaves out those it does not know. */
type Fields = z.output<typeof common> &
  Partial<Record<(typeof PROFILE)[ProfileField] | Account, string | null | undefined>> & {
    readonly UserDefinedDataList?: z.output<typeof customFields>;
  };

function inEventWords(type: EventType, command: string, body: Body, fields: Fields, drop: readonly string[]) {
  const read = fields.UserDefinedDataList?.flatMap((item) => customField.safeParse(item).data ?? []);
  const given = new Map(read?.map(({ Key, Value }) => [Key, Value]));
  const custom = [...given].filter(([key, value]) => fits([`customFields.${key}`, value])).slice(0, CUSTOM_BOUNDS.most);
  const long = PROFILE_FIELDS.filter((field) => !fits([field, fields[PROFILE[field]]]));
  // What exceeds a group's bounds stays in `extra`, with everything that the bridge does not know.
  const isWhole = read?.length === fields.UserDefinedDataList?.length && custom.length === given.size;
  const left = [...long.map((field) => PROFILE[field]), ...(isWhole ? [] : ['UserDefinedDataList'])];
  const known = { ...fields, ...Object.fromEntries(left.map((name) => [name, undefined])) };
  return {
    type,
    command,
    groupId: fields.GroupId,
    groupType: fields.Type ?? '',
    eventTime: fields.EventTime,
    operator: fields.Operator_Account ?? undefined,
    owner: fields.NewOwner_Account ?? fields.Owner_Account ?? undefined,
    previousOwner: fields.OldOwner_Account ?? undefined,
    changed: changedFields(known, read && custom),
    /** How many fields a group cannot hold: too many, or too long. */
    beyond: long.length + given.size - custom.length,
    ...boundExtra(withoutKnown(body, known), drop),
  };
}

function complain(body: Body, { issues }: z.ZodError): Checked<never> {
  const complaints = issues.map((issue) => {
    const field = issue.path.join('.');
    return !(field in body) ? `${field} is missing` : `${field}: ${plainly(issue.message)}`;
  });
  const path = issues[0]?.path.join('.');
  return refused({ code: 'callback-invalid', message: complaints.join('; '), ...(path !== undefined && { path }) });
}

/** Checks own properties: zod drops a `__proto__` key, which is kept like everything unknown. */
function withoutKnown(body: Body, fields: Body): Record<string, unknown> {
  const known = (key: string): boolean =>
    key === 'CallbackCommand' || (Object.hasOwn(fields, key) && fields[key] !== undefined && fields[key] !== null);
  return Object.fromEntries(Object.entries(body).filter(([key]) => !known(key)));
}

/** Larger unknown fields could make an event larger than a destination accepts (Kafka: 1 MB). */
const MAX_EXTRA_BYTES = 262_144;
/** Deeper values could overflow the stack of whoever hashes, writes or reads them later. */
const MAX_DEPTH = 500;

/** Leaves out what is too large, largest first, too deep or unwanted; `omitted` names it. */
function boundExtra(fields: Record<string, unknown>, drop: readonly string[]) {
  const sized = Object.entries(fields).map(([key, value]) => {
    const isKept = !drop.includes(key) && !isDeeperThan(MAX_DEPTH, value);
    return { key, value, bytes: isKept ? Buffer.byteLength(JSON.stringify(value)) : Number.POSITIVE_INFINITY };
  });
  let room = MAX_EXTRA_BYTES;
  const kept = new Set<string>();
  for (const { key, bytes } of sized.toSorted((a, b) => a.bytes - b.bytes)) {
    room -= bytes + key.length;
    if (room >= 0) kept.add(key);
  }
  const omitted = sized.filter(({ key }) => !kept.has(key)).map(({ key }) => truncate(key, 100));
  return {
    /** The fields of the body that the schema does not know, unchanged. */
    extra: Object.fromEntries(sized.filter(({ key }) => kept.has(key)).map(({ key, value }) => [key, value])),
    ...(omitted.length > 0 && { omitted: omitted.slice(0, 100) }),
  };
}

function isDeeperThan(most: number, value: unknown): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > most) return true;
    level = level.flatMap((one) => (typeof one === 'object' && one !== null ? Object.values(one) : []));
  }
  return false;
}

/** `""` is a cleared field and stays; only an absent key is unchanged. */
function changedFields(fields: Fields, custom: readonly (readonly [key: string, value: string])[] | undefined) {
  const changed: ChangedFields = {};
  for (const field of PROFILE_FIELDS) {
    const value = fields[PROFILE[field]];
    if (typeof value === 'string') changed[field] = value;
  }
  if (custom !== undefined) changed.customFields = Object.fromEntries(custom);
  return changed;
}

const SCHEMAS: Readonly<Record<string, readonly [EventType, z.ZodType<Fields> & { readonly shape: object }]>> = {
  [GROUP_INFO_CHANGED]: [
    'chat.group.info.changed',
    common.extend({
      Operator_Account: told,
      Name: change,
      Introduction: change,
      Notification: change,
      FaceUrl: change,
      UserDefinedDataList: customFields,
    }),
  ],
  'Group.CallbackAfterCreateGroup': [
    'chat.group.created',
    common.extend({ Operator_Account: told, Owner_Account: told, Name: change, UserDefinedDataList: customFields }),
  ],
  // Name and member list describe the group at its end; they are not changes and stay in `extra`.
  'Group.CallbackAfterGroupDestroyed': [
    'chat.group.destroyed',
    common.extend({ Operator_Account: told, Owner_Account: told }),
  ],
  'Group.CallbackAfterChangeGroupOwner': [
    'chat.group.owner.changed',
    common.extend({ Operator_Account: told, OldOwner_Account: told, NewOwner_Account: needed.max(MOST_ACCOUNT) }),
  ],
};

const FIELDS = [...new Set(Object.values(SCHEMAS).flatMap(([, schema]) => Object.keys(schema.shape)))];

/** Removes what people put in front of a field's name. */
const plainName = (field: string): string => field.replaceAll('_', '').replace(/^(?:group|new)(?!id$)/i, '');
/** Bounds how many unknown fields are compared, and how long their names may be. */
const MOST_LOOKED_AT = 20;
const LONGEST_NAME = 40;

/** Names the unknown fields of a callback that resemble known ones, and whose changes are therefore lost. */
export function misnamedIn(extra: Body): string[] {
  return Object.keys(extra)
    .slice(0, MOST_LOOKED_AT)
    .filter((field) => field.length <= LONGEST_NAME && !FIELDS.includes(field))
    .flatMap((field) => {
      const meant = didYouMean(plainName(field), FIELDS);
      return meant === undefined ? [] : [`${field} (${meant})`];
    });
}

/** The fields that a change of a group's info consists of. */
const CHANGES = Object.values(PROFILE);

/** Refuses an info change none of whose changes can be read. */
function checkChanges(body: Body, fields: Fields): Checked<Fields> {
  const given = CHANGES.filter((name) => Object.hasOwn(body, name));
  if (given.length === 0 || given.some((name) => typeof fields[name] === 'string')) return accepted(fields);
  if (fields.UserDefinedDataList !== undefined) return accepted(fields);
  const message = given.map((name) => `${name}: a text is expected`).join('; ');
  return refused({ code: 'callback-invalid', path: given.join(', '), message });
}

/** Commands that become events, by name. */
export const COMMANDS: ReadonlyMap<string, ReadCommand> = new Map(
  Object.entries(SCHEMAS).map(([name, [type, schema]]) => {
    const check = (body: Body, strict: boolean): Checked<Fields> => {
      const first = schema.safeParse(body);
      if (first.success) return accepted(first.data);
      const odd = new Set(first.error.issues.map(({ path }) => path[0]));
      // Without quarantine, a change of the wrong type is left out and kept as an unknown field, to save the rest.
      const rest = Object.fromEntries(Object.entries(body).filter(([key]) => !(odd.has(key) && isChange(key))));
      const second = strict ? first : schema.safeParse(rest);
      return second.success ? accepted(second.data) : complain(body, first.error);
    };
    const read: ReadCommand = (body, { strict, drop } = { strict: true, drop: [] }) => {
      const checked = check(body, strict);
      const whole = checked.ok && type === 'chat.group.info.changed' ? checkChanges(body, checked.value) : checked;
      return whole.ok ? accepted(inEventWords(type, name, body, whole.value, drop)) : whole;
    };
    return [name, read];
  }),
);
const isChange = (name: string): boolean => CHANGES.some((change) => change === name);

/** Whether a body is about a topic of a community: its profile is not the group's, and must never become it. */
export function isAboutTopic({ TopicId }: Body): boolean {
  return TopicId !== undefined && TopicId !== null && TopicId !== '';
}

/** Commands that the vendor documents, which bounds a metric's label whatever is sent. */
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

export function commandLabel(command: string | undefined): string {
  if (command === undefined) return 'none';
  return DOCUMENTED.has(command) ? command : 'other';
}
