import { z } from 'zod';
import { type ChangedFields, type EventType, MAX_GROUP_ID_BYTES } from '../model/event.ts';

/** The callback this bridge exists for. */
export const GROUP_INFO_CHANGED = 'Group.CallbackAfterGroupInfoChanged';

/** What of an event's data a command's own fields say. */
export interface Told {
  readonly operator?: string | undefined;
  readonly owner?: string | undefined;
  readonly previousOwner?: string | undefined;
  readonly changed: ChangedFields;
}

/** A command that becomes an event. */
export interface Command {
  readonly type: EventType;
  /** Checks the body; transforms nothing. */
  readonly schema: z.ZodType<CommonBody>;
  /** The fields that the event tells in words of its own; all others are kept as they came. */
  readonly known: ReadonlySet<string>;
  tell(body: Readonly<Record<string, unknown>>): Told;
}

const groupId = z
  .string()
  .min(1, { error: 'it is empty' })
  .refine((text) => text.isWellFormed() && Buffer.byteLength(text) <= MAX_GROUP_ID_BYTES, {
    error: `it is longer than ${MAX_GROUP_ID_BYTES} bytes or not well-formed Unicode`,
  });

/** Milliseconds since 1970, as a JSON number or a string of digits; callbacks of before 2022 have none. */
const error = 'milliseconds since 1970 are expected, as a number or a string of digits';
const eventTime = z.union([z.number({ error }).nonnegative({ error }), z.string().regex(/^\d+$/, { error })], {
  error,
});

const common = z.looseObject({
  CallbackCommand: z.string(),
  GroupId: groupId,
  Type: z.string(),
  EventTime: eventTime.optional(),
});
export type CommonBody = z.output<typeof common>;
const COMMON_FIELDS = Object.keys(common.shape);

/** Group custom fields, documented until 2020. Another shape under this key is kept as an unknown field. */
const userDefinedDataList = z.array(z.object({ Key: z.string(), Value: z.string() }));

function customFieldsOf(body: Readonly<Record<string, unknown>>): Record<string, string> | undefined {
  if (body.UserDefinedDataList === undefined) return undefined;
  const list = userDefinedDataList.safeParse(body.UserDefinedDataList);
  return list.success ? Object.fromEntries(list.data.map(({ Key, Value }) => [Key, Value])) : undefined;
}

/** `""` is a cleared field and stays; only an absent key is unchanged. */
function profileOf(
  body: Readonly<Record<string, unknown>>,
  names: readonly (readonly [string, keyof ChangedFields])[],
): ChangedFields {
  const changed: Record<string, unknown> = {};
  for (const [from, to] of names) if (body[from] !== undefined) changed[to] = body[from];
  const customFields = customFieldsOf(body);
  if (customFields !== undefined) changed.customFields = customFields;
  return changed as ChangedFields;
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

function command(type: EventType, shape: z.ZodRawShape, known: readonly string[], tell: Command['tell']): Command {
  // What all have in common is lost in the inferred type of an extension by any shape, not in the schema.
  const schema = common.extend(shape) as unknown as z.ZodType<CommonBody>;
  return { type, schema, known: new Set([...COMMON_FIELDS, ...known]), tell };
}

const PROFILE = [
  ['Name', 'name'],
  ['Introduction', 'introduction'],
  ['Notification', 'notification'],
  ['FaceUrl', 'faceUrl'],
] as const;
const optional = z.string().optional();

/** By the name in the query. */
export const COMMANDS: ReadonlyMap<string, Command> = new Map([
  [
    GROUP_INFO_CHANGED,
    command(
      'chat.group.info.changed',
      {
        Operator_Account: z.string(),
        Name: optional,
        Introduction: optional,
        Notification: optional,
        FaceUrl: optional,
      },
      ['Operator_Account', ...PROFILE.map(([name]) => name)],
      (body) => ({ operator: text(body.Operator_Account), changed: profileOf(body, PROFILE) }),
    ),
  ],
  [
    'Group.CallbackAfterCreateGroup',
    command(
      'chat.group.created',
      { Operator_Account: z.string(), Owner_Account: optional, Name: optional },
      ['Operator_Account', 'Owner_Account', 'Name'],
      (body) => ({
        operator: text(body.Operator_Account),
        owner: text(body.Owner_Account),
        changed: profileOf(body, [['Name', 'name']]),
      }),
    ),
  ],
  [
    'Group.CallbackAfterGroupDestroyed',
    // Name and member list are those of the end, no changes: they are kept as they came.
    command(
      'chat.group.destroyed',
      { Operator_Account: optional, Owner_Account: optional },
      ['Operator_Account', 'Owner_Account'],
      (body) => ({
        operator: text(body.Operator_Account),
        owner: text(body.Owner_Account),
        changed: {},
      }),
    ),
  ],
  [
    'Group.CallbackAfterChangeGroupOwner',
    command(
      'chat.group.owner.changed',
      { Operator_Account: z.string(), OldOwner_Account: optional, NewOwner_Account: z.string() },
      ['Operator_Account', 'OldOwner_Account', 'NewOwner_Account'],
      (body) => ({
        operator: text(body.Operator_Account),
        owner: text(body.NewOwner_Account),
        previousOwner: text(body.OldOwner_Account),
        changed: {},
      }),
    ),
  ],
]);

/** The fields of a body that its event does not tell in words of its own, as they came. */
export function extraOf(
  { known }: Command,
  body: Readonly<Record<string, unknown>>,
  { changed }: Told,
): Record<string, unknown> {
  const told = (key: string): boolean =>
    known.has(key) || (key === 'UserDefinedDataList' && changed.customFields !== undefined);
  const untold = Object.keys(body).filter((key) => !told(key));
  return Object.fromEntries(untold.map((key) => [key, body[key]]));
}
