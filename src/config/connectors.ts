import { z } from 'zod';
import type { ConnectorContract } from '../../connectors/contract.ts';
import { inputSchemaOf, connectors as kinds } from '../../connectors/index.ts';
import { EVENT_TYPES, PROFILE_FIELDS } from '../model/event.ts';
import { messageOf } from '../model/fault.ts';
import { isObject } from '../model/json.ts';
import { shapeSettings } from '../model/shape.ts';
import { duration, groupTypes, text, whole } from './units.ts';

const batch = (maxWaitMs: number, maxEvents = 1_000, own: z.ZodRawShape = {}) =>
  z
    .strictObject({
      maxEvents: whole(1, 100_000).default(maxEvents).describe('At most this many events in one delivery.'),
      maxWaitMs: whole(0, 60_000)
        .default(maxWaitMs)
        .describe(
          'How long to wait for a batch to fill. Right after a delivery a batch always gathers for up to 40 ms; where the events of a group become one write, for up to four times the duration of that delivery or of this setting, at most 1 s.',
        ),
      ...own,
    })
    .prefault({})
    .describe('How many events are delivered together.');

/** Options that every connector has in addition to its own. */
export const laneOptions = z.strictObject({
  enabled: z.boolean().default(true).describe('false: it is checked, but nothing is delivered to it.'),
  filter: z
    .strictObject({
      types: z.array(z.enum(EVENT_TYPES)).min(1).optional().describe('Types of events.'),
      groupTypes: groupTypes
        .optional()
        .describe('Public, Private (Work), ChatRoom (Meeting), AVChatRoom, Community, …'),
      groupIds: z.array(text).min(1).optional().describe('Group ids; * stands for any characters, ? for one.'),
      changedFields: z
        .array(z.enum([...PROFILE_FIELDS, 'customFields']))
        .min(1)
        .optional()
        .describe('Only info changes of one of these fields.'),
    })
    .prefault({})
    .describe('Only these events reach the connector: all criteria that are set must match.'),
  batch: batch(0),
  retry: z
    .strictObject({
      initialMs: whole(1, 60_000).default(200).describe('The first delay; it doubles with each attempt.'),
      maxMs: whole(1, 3_600_000).default(10_000).describe('The longest delay. Attempts never stop.'),
    })
    .refine((retry) => retry.initialMs <= retry.maxMs, { error: 'initialMs is larger than maxMs' })
    .prefault({})
    .describe('Delays between attempts of a failed delivery.'),
  verify: z
    .union(
      [
        z.literal(false),
        z.strictObject({
          every: duration
            .refine((ms) => ms >= 1_000 && ms <= 604_800_000, { error: 'between 1s and 7d is expected' })
            .prefault('1h')
            .describe('Time from the start of one comparison with the whole copy to the next.'),
          groupsPerSecond: whole(1, 100_000).default(200).describe('Maximum number of groups compared per second.'),
          mend: z.boolean().default(true).describe('Whether what is missing or different is written again.'),
        }),
      ],
      { error: 'false, or an object with every, groupsPerSecond and mend, is expected' },
    )
    .prefault({})
    .describe(
      'Slowly and continuously compares the copy with the merged groups; false: never. Workers do not compare.',
    ),
  restore: z
    .enum(['auto', 'ask'])
    .default('auto')
    .describe(
      'When the destination was deleted or replaced: auto restores it, ask waits for a `replay`. A worker only reports it.',
    ),
  shape: shapeSettings.optional(),
});
export type LaneOptions = z.output<typeof laneOptions>;

const neverVerified = z
  .literal(false, { error: 'this destination cannot be read back: leave verify out' })
  .default(false)
  .describe('Only false: this destination cannot be read back.');

const [first, ...others] = kinds.map(
  ({ kind, options, maxWaitMs = 0, maxEvents, verifiable = true }: (typeof kinds)[number]) =>
    options.safeExtend({
      ...laneOptions.shape,
      ...(!verifiable && { verify: neverVerified }),
      batch: batch(maxWaitMs, maxEvents, batchOf(options.shape.batch)),
      kind: z.literal(kind),
    }),
);

/** Returns the settings that a connector adds to `batch`. */
function batchOf(own: unknown): z.ZodRawShape {
  const object = own instanceof z.ZodPrefault ? own.unwrap() : undefined;
  return object instanceof z.ZodObject ? object.shape : {};
}

export type OwnKind = LoadedKind | { readonly kind: string; readonly trouble: string };
interface LoadedKind {
  readonly kind: string;
  readonly file: string;
  readonly connector: ConnectorContract<unknown>;
}

const RESERVED = [...Object.keys(laneOptions.shape), 'kind', 'module'];

/** Returns the options of a user's connector whose names are reserved. */
export function clashesOf({ options }: ConnectorContract<unknown>): string[] {
  return Object.keys(inputSchemaOf(options).properties ?? {}).filter((key) => RESERVED.includes(key));
}

/** Applies the connector's own schema, which may come from another copy of zod; its JSON Schema explains mistakes. */
function ownSchema({ kind, connector, file }: LoadedKind) {
  const lane = laneOptions.extend({
    batch: batch(connector.maxWaitMs ?? 0, connector.maxEvents),
    ...(connector.verifiable === false && { verify: neverVerified }),
  });
  const [own, ours] = [inputSchemaOf(connector.options), inputSchemaOf(lane)];
  return z
    .looseObject({ kind: z.literal(kind) })
    .meta({
      properties: { ...own.properties, ...ours.properties, kind: { const: kind } },
      required: [...(own.required ?? []), 'kind'],
      additionalProperties: false,
    })
    .transform((given, context) => {
      const keys = Object.entries(given).filter(([key]) => key !== 'kind');
      const isOurs = ([key]: readonly [string, unknown]): boolean => Object.hasOwn(lane.shape, key);
      const parsedLane = lane.safeParse(Object.fromEntries(keys.filter(isOurs)));
      const parsed = asked(connector, Object.fromEntries(keys.filter((entry) => !isOurs(entry))));
      const issues = [...(parsedLane.error?.issues ?? []), ...('issues' in parsed ? parsed.issues : [])];
      // All copies of zod 4 make issues of the same form.
      context.issues.push(...issues.map((issue) => ({ ...issue, input: given }) as z.core.$ZodRawIssue));
      return { ...parsedLane.data, kind, module: file, options: 'data' in parsed ? parsed.data : {} };
    });
}

/** Calls a foreign schema. The result must survive the way to the delivery thread, which does not call it again. */
function asked({ options, holds, places }: ConnectorContract<unknown>, given: object) {
  try {
    const parsed = options.safeParse(given);
    if (!parsed.success) return { issues: parsed.error.issues };
    const data: unknown = structuredClone(parsed.data);
    if (!isObject(data)) throw new TypeError('they are not an object');
    holds(data);
    places(data);
    return { data };
  } catch (thrown) {
    const message = `the module of this kind fails on these options: ${messageOf(thrown)}`;
    return { issues: [{ code: 'custom', path: ['kind'], message }] };
  }
}

const connectorName = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$/, {
  error: 'a connector’s name holds letters, digits, - and _ only (at most 63)',
});

export function connectors(own: readonly OwnKind[]) {
  const loaded = own.filter((one) => 'connector' in one).map(ownSchema);
  const troubles = new Map(own.flatMap((one) => ('trouble' in one ? [[one.kind, one.trouble]] : [])));
  // The inferred type lacks the options that all connectors share, so users' connectors are typed like the built-in ones.
  const choices = [...others, ...(loaded as unknown as typeof others)] as const;
  const error = ({ input }: { input?: unknown }) => (isObject(input) ? troubles.get(input.kind as string) : undefined);
  return (
    z
      // biome-ignore lint/style/noNonNullAssertion: the list of connectors is not empty
      .record(connectorName, z.discriminatedUnion('kind', [first!, ...choices], { error }))
      .refine((all) => Object.keys(all).length > 0, { error: 'at least one connector is expected' })
      .describe('Any number of destinations, keyed by a name you choose.')
  );
}
