import { z } from 'zod';
import type { ConnectorContract } from '../../connectors/contract.ts';
import {
  type Configured,
  connectors,
  holdsOf,
  inputSchemaOf,
  placesOf,
  SHAPE_PARTS,
  shapeRefusalsOf,
  shapesOf,
} from '../../connectors/index.ts';
import { EVENT_TYPES, PROFILE_FIELDS, wireType } from '../model/event.ts';
import { messageOf } from '../model/fault.ts';
import { vendorSecret } from '../model/secret.ts';
import { shapeProblems, shapeSettings } from '../model/shape.ts';
import { mayBe, mayMeet } from '../model/template.ts';
import { admin, DEFAULT_ADMIN_PORT, isLoopback, receiver } from './listeners.ts';
import { notify } from './notify.ts';
import { deadLetterTopic, type Source, source } from './source.ts';
import { bytes, duration, text, whole } from './units.ts';

const APP_EXPECTED = 'the SDKAppID of your Chat app is expected: digits only, as the vendor’s console shows it';

const app = z.strictObject({
  sdkAppId: z
    .union([z.int().positive(), z.string().regex(/^\d+$/, { error: APP_EXPECTED })], {
      error: APP_EXPECTED,
    })
    .transform(String)
    .describe('Compared with SdkAppid in the query of each callback.'),
  callbackTokens: z
    .array(vendorSecret)
    .min(1)
    .optional()
    .describe(
      'The authentication token of the vendor’s console; several while one is being rotated. When given, Sign and RequestTime are required.',
    ),
  signWindow: duration
    .refine((ms) => ms >= 1_000 && ms <= 3_600_000, { error: 'between 1s and 1h is expected' })
    .prefault('60s')
    .describe('How far RequestTime may lie from this clock, before or after; within it a captured Sign is good.'),
});

const journal = z.strictObject({
  file: text.default('data/journal.db').describe('Relative to the working directory.'),
  keepDelivered: duration.prefault('7d').describe('How long delivered events stay, for replay.'),
  maxBytes: bytes.prefault('10GiB').describe('The most the journal may grow to; beyond it callbacks are not recorded.'),
});

const shutdown = duration
  .prefault('10s')
  .describe('How long deliveries may go on after SIGTERM; what is left goes on at the next start.');

const batch = (maxWaitMs: number, maxEvents = 1_000, own: z.ZodRawShape = {}) =>
  z
    .strictObject({
      maxEvents: whole(1, 100_000).default(maxEvents).describe('At most this many events in one delivery.'),
      maxWaitMs: whole(0, 60_000)
        .default(maxWaitMs)
        .describe(
          'How long to wait for a batch to fill. When deliveries take long, the lane waits longer by itself: twice as long as the one before took, at most 50 ms; where the events of a group become one write, four times as long, at most 1 s.',
        ),
      ...own,
    })
    .prefault({})
    .describe('How many events go together.');

/** Types of groups by any of their names. */
const groupTypes = z
  .array(text)
  .min(1)
  .transform((types) => [...new Set(types.map(wireType))]);

/** Every connector takes these beside its own options. */
export const laneOptions = z.strictObject({
  enabled: z.boolean().default(true).describe('false: it is checked, and nothing is delivered to it.'),
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
    .describe('Only these events reach the connector: each criterion that is given must hold.'),
  batch: batch(0),
  retry: z
    .strictObject({
      initialMs: whole(1, 60_000).default(200).describe('The first delay; it doubles with each attempt.'),
      maxMs: whole(1, 3_600_000).default(10_000).describe('The longest delay. There is no last attempt.'),
    })
    .refine((retry) => retry.initialMs <= retry.maxMs, { error: 'initialMs is larger than maxMs' })
    .prefault({})
    .describe('How a delivery that failed is tried again.'),
  verify: z
    .union(
      [
        z.literal(false),
        z.strictObject({
          every: duration
            .refine((ms) => ms >= 1_000 && ms <= 604_800_000, { error: 'between 1s and 7d is expected' })
            .prefault('1h')
            .describe('From the beginning of one comparison with the whole copy to the next.'),
          groupsPerSecond: whole(1, 100_000)
            .default(200)
            .describe('How many groups are compared in a second, at most.'),
          mend: z.boolean().default(true).describe('Whether what is missing or different is brought again.'),
        }),
      ],
      { error: 'false, or an object with every, groupsPerSecond and mend, is expected' },
    )
    .prefault({})
    .describe('Compares the copy with the merged groups, all the time and slowly; false: it is never compared.'),
  restore: z
    .enum(['auto', 'ask'])
    .default('auto')
    .describe(
      'When the destination was deleted or replaced: auto brings again what is known, ask waits for a `replay`.',
    ),
  shape: shapeSettings.optional(),
});
export type LaneOptions = z.output<typeof laneOptions>;

const neverVerified = z
  .literal(false, { error: 'nobody can tell what such a destination holds: leave verify out' })
  .default(false)
  .describe('Only false: nobody can tell what such a destination holds.');

const [first, ...others] = connectors.map(
  ({ kind, options, maxWaitMs = 0, maxEvents, verifiable = true }: (typeof connectors)[number]) =>
    options.safeExtend({
      ...laneOptions.shape,
      ...(!verifiable && { verify: neverVerified }),
      batch: batch(maxWaitMs, maxEvents, batchOf(options.shape.batch)),
      kind: z.literal(kind),
    }),
);

/** Returns what a connector has in `batch` beside what every lane has there. */
function batchOf(own: unknown): z.ZodRawShape {
  const object = own instanceof z.ZodPrefault ? own.unwrap() : undefined;
  return object instanceof z.ZodObject ? object.shape : {};
}

/** A connector that the bridge did not bring along, as a configuration names it. */
export interface OwnKind {
  readonly kind: string;
  /** Undefined where it cannot be used, which is said of its kind: nothing is said of its settings. */
  readonly loaded: { readonly file: string; readonly connector: ConnectorContract<unknown> } | undefined;
}

/** What a connector of one's own cannot call an option. */
const RESERVED = [...Object.keys(laneOptions.shape), 'kind', 'module'];

/** Returns which of its options have names that every connector has, or that say which it is. */
export function clashesOf({ options }: ConnectorContract<unknown>): string[] {
  return Object.keys(inputSchemaOf(options).properties ?? {}).filter((key) => RESERVED.includes(key));
}

/**
 * Its options are checked by its own schema, which may be of another copy of zod: it is asked, and not taken apart. What may be
 * written stands in the JSON Schema, by which mistakes are explained.
 */
function ownSchema({ kind, loaded }: OwnKind) {
  const known = z.looseObject({ kind: z.literal(kind) });
  if (loaded === undefined) return known;
  const { connector, file } = loaded;
  const lane = laneOptions.extend({
    batch: batch(connector.maxWaitMs ?? 0, connector.maxEvents),
    ...(connector.verifiable === false && { verify: neverVerified }),
  });
  const [own, ours] = [inputSchemaOf(connector.options), inputSchemaOf(lane)];
  return known
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
      // Issues of zod 4 have one form, whichever copy made them.
      context.issues.push(...issues.map((issue) => ({ ...issue, input: given }) as z.core.$ZodRawIssue));
      return { ...parsedLane.data, ...('data' in parsed && parsed.data), kind, module: file };
    });
}

/** What all connectors have in common is lost in the type that is inferred, so that these are typed as the others. */
const ownSchemas = (own: readonly OwnKind[]) => own.map(ownSchema) as unknown as typeof others;

/** Asks a schema that may do anything. What it gives must be usable without asking again, here and in the delivery thread. */
function asked({ options, holds, places }: ConnectorContract<unknown>, given: object) {
  try {
    const parsed = options.safeParse(given);
    if (!parsed.success) return { issues: parsed.error.issues };
    const data = structuredClone(parsed.data) as object;
    holds(data);
    places(data);
    return { data };
  } catch (thrown) {
    const message = `the module of this kind cannot take these options: ${messageOf(thrown)}`;
    return { issues: [{ code: 'custom', path: ['kind'], message }] };
  }
}

const connectorName = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$/, {
  error: 'a connector’s name holds letters, digits, - and _ only (at most 63)',
});

const restUrl = z.string().refine(
  (text) => {
    if (!URL.canParse(text)) return false;
    const { protocol, hostname, search, hash, username } = new URL(text);
    if (search + hash + username !== '') return false;
    return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname.replace(/^\[|\]$/g, '')));
  },
  {
    error:
      'an https:// URL is expected, such as https://console.tim.qq.com, without query and credentials (http:// on loopback only: the signature stands in it)',
  },
);

const reconcile = z.strictObject({
  api: z.strictObject({
    baseUrl: z
      .union([restUrl, z.array(restUrl).min(1)])
      .default('https://console.tim.qq.com')
      .describe(
        'The domain of the app’s region: console.tim.qq.com, adminapisgp.im.qcloud.com, adminapiusa…, …; or a list, of which the next is asked when one cannot be reached. A path is kept.',
      ),
    identifier: vendorSecret.default('administrator').describe('An admin account of the app.'),
    secretKey: vendorSecret.describe('The app’s key in the vendor’s console; signs each call.'),
    callsPerSecond: z
      .strictObject({
        list: z.number().positive().max(100_000).default(1).describe('For lists of groups; the service allows 1.'),
        groups: z
          .number()
          .positive()
          .max(100_000)
          .default(200)
          .describe('For 50 groups at once; the service allows 200.'),
      })
      .prefault({})
      .describe('The service’s limits hold for the whole app: lower them where others call as well.'),
  }),
  every: duration
    .refine((ms) => ms >= 60_000, { error: 'at least 1m is expected' })
    .optional()
    .describe('Time from the end of one run to the next; without it only the command runs it.'),
  customFields: z
    .array(text)
    .default([])
    .describe(
      'Keys of custom fields to read, beside those that callbacks have told of: the service tells only what is asked for.',
    ),
  maxGone: z
    .union([whole(0, 1_000_000_000), z.string().regex(/^\d+(\.\d+)?%$/)], {
      error: 'a number of groups or a percentage is expected, such as 5%',
    })
    .default('5%')
    .describe(
      'A run that would destroy more of the groups known destroys none; a percentage lets 20 pass in any case.',
    ),
  groupTypes: groupTypes
    .default(['Public', 'Private', 'ChatRoom', 'Community'])
    .describe('Types of groups to list. Groups known by callbacks are read whatever their type.'),
});

/** Stands for a receiver that was not given, as one and the same object: so the refinement below can tell. */
const NO_RECEIVER = receiver.parse({});

type Refuse = (path: (string | number)[], message: string) => void;

/** Refuses settings that are right by themselves and cannot hold together. */
function refuseClashes(config: Settings, context: z.RefinementCtx): void {
  const refuse: Refuse = (path, message) => context.addIssue({ code: 'custom', path, message });
  // What is wrong by itself says nothing about where it leads.
  const wrong = new Set(context.issues.map(({ path = [] }) => path.slice(0, 2).join('.')));
  const isWrong = (connector: string): boolean => wrong.has(`connectors.${connector}`);
  refuseSharedPlace(config, isWrong, refuse);
  for (const [name, connector] of Object.entries(config.connectors)) {
    if (!isWrong(name) && connector.shape)
      refuseShape(name, connector as unknown as Configured, connector.shape, refuse);
  }
  if (config.receiver.allowFrom?.includes('service') && config.reconcile === undefined) {
    refuse(
      ['receiver', 'allowFrom'],
      'reconcile.api is needed: with its credentials the service is asked for its addresses',
    );
  }
  if (config.source === undefined) refuseSharedPort(config, refuse);
  else refuseInWorker(config, config.source, refuse);
}

/** A shape that would lose something is told where it stands: a copy that cannot be read back is never right again. */
function refuseShape(name: string, connector: Configured, given: unknown, refuse: Refuse): void {
  // What all connectors have in common is lost in the inferred type.
  const shape = shapeSettings.parse(given);
  const at = (path: readonly (string | number)[]) => ['connectors', name, 'shape', ...path];
  const [holds, parts] = [holdsOf(connector), shapesOf(connector)];
  if (holds === 'groups' && parts === undefined) {
    refuse(at([]), `what a connector of kind ${connector.kind} writes of groups has the shape that it gives them`);
    return;
  }
  const problems = [...shapeProblems(shape, holds), ...shapeRefusalsOf(connector, shape)];
  for (const { path, message } of problems) refuse(at(path), message);
  for (const part of SHAPE_PARTS) {
    if (shape[part] === undefined || parts?.includes(part) || problems.some(({ path }) => path[0] === part)) continue;
    refuse(at([part]), `what a connector of kind ${connector.kind} writes has no ${part} of its own: leave it out`);
  }
}

function refuseSharedPort({ receiver, admin }: Settings, refuse: Refuse): void {
  const isEvery = (host: string): boolean => host === '0.0.0.0' || host === '::';
  const [one, other] = [receiver.host, admin.host].map((host) => (host === 'localhost' ? '127.0.0.1' : host));
  if (receiver.port !== admin.port || admin.port === 0) return;
  if (one !== other && !isEvery(receiver.host) && !isEvery(admin.host)) return;
  const message = 'receiver and admin cannot listen on one port: choose another for one of the two';
  // The one that is left out has its default.
  refuse([admin.port === DEFAULT_ADMIN_PORT ? 'receiver' : 'admin', 'port'], message);
}

/** Two connectors may write to one place only where they write the same there, each its share. */
function refuseSharedPlace(
  { connectors, journal }: Settings,
  isWrong: (connector: string) => boolean,
  refuse: Refuse,
): void {
  const taken = placesOf({ kind: 'file', path: journal.file } as Configured).map(
    ({ name }): Taken => ({ name, by: 'journal.file', use: undefined }),
  );
  for (const [connector, options] of Object.entries(connectors)) {
    if (!options.enabled || isWrong(connector)) continue;
    const by = `connectors.${connector}`;
    const places = placesOf(options as unknown as Configured, shapeSettings.optional().parse(options.shape)).map(
      ({ use, ...place }) => ({
        ...place,
        by,
        use: use && use + JSON.stringify(options.shape ?? ''),
      }),
    );
    const clashOf = (place: Taken): Taken | undefined =>
      taken.find((one) => isOnePlace(one, place) && (place.use === undefined || place.use !== one.use));
    const clash = places.map((place) => ({ place, other: clashOf(place) })).find(({ other }) => other !== undefined);
    taken.push(...places);
    if (clash?.other === undefined) continue;
    const { place, other } = clash;
    const what = other.name === place.name ? place.name : `${other.name}, which may be the ${place.name},`;
    refuse(
      ['connectors', connector, ...place.option.split('.')],
      `${other.by} writes to the ${what} already: choose another for one of the two`,
    );
  }
}

/** A place, and who writes there. */
interface Taken {
  readonly name: string;
  readonly template?: boolean;
  readonly by: string;
  readonly use: string | undefined;
}

const isOnePlace = (one: Taken, other: Taken): boolean =>
  one.template || other.template ? mayMeet(one.name, other.name) : one.name === other.name;

/** A worker delivers what receiving bridges wrote: it has no use for what those do. */
function refuseInWorker({ receiver, reconcile, connectors }: Settings, source: Source, refuse: Refuse): void {
  if (receiver !== NO_RECEIVER) {
    refuse(['receiver'], 'a worker receives no callbacks: leave receiver out, or leave source out to receive them');
  }
  if (reconcile !== undefined) {
    const instead = 'let a receiving bridge reconcile, whose events come here';
    refuse(['reconcile'], `a worker has no journal to mend the copies from: ${instead}`);
  }
  for (const [name, one] of Object.entries(connectors)) {
    const brokers = (one as { brokers?: readonly string[] }).brokers ?? [];
    if (one.kind !== 'kafka' || !brokers.some((broker) => source.brokers.includes(broker))) continue;
    if (mayBe(String(one.topic), source.topic) || mayBe(String(one.topic), deadLetterTopic(source))) {
      refuse(['connectors', name, 'topic'], 'the worker would read what it writes: choose a topic of its own');
    }
  }
}

const settings = (own: readonly OwnKind[]) =>
  z.strictObject({
    app,
    source: source.optional(),
    receiver: receiver.default(() => NO_RECEIVER),
    journal: journal.prefault({}),
    admin: admin.prefault({}),
    shutdownMs: shutdown,
    notify: z
      .array(notify)
      .default([])
      .describe('Addresses that are told when the verdict changes, at most once a minute each.'),
    reconcile: reconcile.optional().describe('Reads groups by the vendor’s REST API and mends the copies.'),
    connectors: z
      // biome-ignore lint/style/noNonNullAssertion: the list of connectors is not empty
      .record(connectorName, z.discriminatedUnion('kind', [first!, ...others, ...ownSchemas(own)]))
      .refine((all) => Object.keys(all).length > 0, { error: 'at least one connector is expected' })
      .describe('Any number of destinations, keyed by a name of yours.'),
  });
type Settings = z.output<ReturnType<typeof settings>>;

/** Returns the schema of a configuration that names these connectors of its own. */
export const configSchemaWith = (own: readonly OwnKind[]) =>
  settings(own).superRefine(refuseClashes).meta({ title: 'group-sync-bridge configuration' });

export const configSchema = configSchemaWith([]);

/** Holds a connector's settings: those of every lane, and the options of its kind, checked by that connector's own schema. */
export type ConnectorConfig = LaneOptions & Configured & Readonly<Record<string, unknown>>;

export type Config = Omit<z.output<typeof configSchema>, 'connectors'> & {
  readonly connectors: Readonly<Record<string, ConnectorConfig>>;
};
