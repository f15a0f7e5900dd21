import { z } from 'zod';
import { hostOf } from '../model/address.ts';
import { vendorSecret } from '../model/secret.ts';
import { isLoopback } from './listeners.ts';
import { duration, groupTypes, text, whole } from './units.ts';

const restUrl = z
  .string()
  .refine(
    (text) => {
      if (!URL.canParse(text)) return false;
      const url = new URL(text);
      const { protocol, search, hash, username, password } = url;
      if (search + hash + username + password !== '') return false;
      return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostOf(url)));
    },
    {
      error:
        'an https:// URL is expected, such as https://console.tim.qq.com, without query and credentials (http:// on loopback only: the signature stands in it)',
      abort: true,
    },
  )
  // The vendor's pages show the whole URLs of commands, which people copy.
  .refine((text) => !/\/v4(\/(group_open_http_svc|ConfigSvc)(\/[^/]*)?)?\/*$/i.test(new URL(text).pathname), {
    error: '/v4/… is added to it: leave that out, such as https://console.tim.qq.com',
  })
  // A command is appended, which must not end up after a bare ? or #.
  .transform((text) => {
    const { origin, pathname } = new URL(text);
    return origin + pathname.replace(/\/+$/, '');
  });

const GONE_EXPECTED = { error: 'a number of groups or a percentage is expected, such as 5%' };

export const reconcile = z.strictObject({
  api: z.strictObject({
    baseUrl: z
      .union([restUrl, z.array(restUrl).min(1)])
      .prefault('https://console.tim.qq.com')
      .describe(
        'The domain of the app’s region: console.tim.qq.com, adminapisgp.im.qcloud.com, adminapiusa…, …; or a list, of which the next is tried when one is unreachable. A path is kept.',
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
      .describe('The service’s limits hold for the whole app: lower them if others call it as well.'),
  }),
  every: duration
    .refine((ms) => ms >= 60_000, { error: 'at least 1m is expected' })
    .optional()
    .describe('Time from the end of one run to the next; without it, only the command runs it.'),
  customFields: z
    .array(text)
    .default([])
    .describe(
      'Keys of custom fields to read, besides those seen in callbacks: the service returns only those requested.',
    ),
  maxGone: z
    .union([whole(0, 1_000_000_000), z.string().regex(/^\d+(\.\d+)?%$/, GONE_EXPECTED)], GONE_EXPECTED)
    .default('5%')
    .describe(
      'A run that would destroy more known groups than this destroys none; with a percentage, 20 are always allowed.',
    ),
  groupTypes: groupTypes
    .default(['Public', 'Private', 'ChatRoom', 'Community'])
    .describe('Types of groups to list. Groups known by callbacks are read whatever their type.'),
});
