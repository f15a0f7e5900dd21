import { z } from 'zod';
import { type Configured, source } from '../../connectors/index.ts';
import { filePath, vendorSecret } from '../model/secret.ts';
import { refuseClashes } from './clashes.ts';
import { connectors, type LaneOptions, type OwnKind } from './connectors.ts';
import type { FilesRead } from './file.ts';
import { admin, NO_RECEIVER, receiver } from './listeners.ts';
import { notify } from './notify.ts';
import { reconcile } from './reconcile.ts';
import { bytes, duration } from './units.ts';

const APP_EXPECTED = 'the SDKAppID of your Chat app is expected: digits only, as the vendor’s console shows it';

const app = z.strictObject({
  sdkAppId: z
    .union([z.int().positive({ error: APP_EXPECTED }), z.string().regex(/^[1-9]\d*$/, { error: APP_EXPECTED })], {
      error: APP_EXPECTED,
    })
    .transform(String)
    .describe('Compared with SdkAppid in the query of each callback.'),
  callbackTokens: z
    .array(vendorSecret)
    .min(1)
    .optional()
    .describe(
      'The authentication token of the vendor’s console; several during rotation. If set, Sign and RequestTime are required.',
    ),
  signWindow: duration
    .refine((ms) => ms >= 1_000 && ms <= 3_600_000, { error: 'between 1s and 1h is expected' })
    .prefault('60s')
    .describe(
      'How far RequestTime may be from this clock, before or after; a captured Sign stays valid for that long.',
    ),
});

const journal = z.strictObject({
  file: filePath.default('data/journal.db').describe('Relative to the working directory.'),
  keepDelivered: duration.prefault('7d').describe('How long delivered events are kept, for replay.'),
  maxBytes: bytes.prefault('10GiB').describe('Maximum size of the journal; beyond it callbacks are not recorded.'),
});

const shutdown = duration
  .prefault('10s')
  .describe('How long deliveries may continue after SIGTERM; the rest continues at the next start.');

const settings = (own: readonly OwnKind[]) =>
  z.strictObject({
    app,
    source: source.options.optional(),
    receiver: receiver.default(() => NO_RECEIVER),
    journal: journal.prefault({}),
    admin: admin.prefault({}),
    shutdownMs: shutdown,
    notify: z
      .array(notify)
      .default([])
      .describe('Addresses that are notified when the verdict changes, at most once a minute each.'),
    reconcile: reconcile.optional().describe('Reads groups by the vendor’s REST API and mends the copies.'),
    connectors: connectors(own),
  });
export type Settings = z.output<ReturnType<typeof settings>>;

/** Returns the schema for a configuration with these users' connectors; `files` are those that it is read from. */
export const configSchemaWith = (own: readonly OwnKind[], files: FilesRead = []) =>
  settings(own)
    .superRefine((config, context) => refuseClashes(config, context, files))
    .meta({ title: 'group-sync-bridge configuration' });

export const configSchema = configSchemaWith([]);

export type Source = NonNullable<Settings['source']>;

/** A connector's settings: those of every lane, and the options of its kind, checked by that kind's schema. */
export type ConnectorConfig = LaneOptions & Configured & Readonly<Record<string, unknown>>;

export type Config = Omit<z.output<typeof configSchema>, 'connectors'> & {
  readonly connectors: Readonly<Record<string, ConnectorConfig>>;
};
