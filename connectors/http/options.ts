import { z } from 'zod';
import { hostOf } from '../../src/model/address.ts';
import { password } from '../../src/model/secret.ts';
import { tlsOptions } from '../tls.ts';
import { isPrivate } from './addresses.ts';
import { FORMATS, isSecret } from './message.ts';

const urlText = z
  .string()
  .refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), {
    error: 'an https:// or http:// URL is expected, such as https://example.com/events',
    abort: true,
  })
  .refine((text) => new URL(text).username === '' && new URL(text).password === '', {
    error: 'put credentials into headers (authorization), not into the URL',
  })
  .refine((text) => new URL(text).hash === '', { error: 'the part after # is never sent: leave it out' });

/** Names of headers that say something of the connection or of the event, which is the connector's to say. */
const OWN_HEADERS =
  /^(host|connection|keep-alive|content-.*|transfer-encoding|upgrade|te|trailer|expect|ce-.*|webhook-.*)$/i;

// As node:http has them (RFC 9110), which no command but for a bridge needs to load.
const isHeaderName = (name: string): boolean => !OWN_HEADERS.test(name) && /^[-!#$%&'*+.^_`|~0-9a-z]+$/i.test(name);
const isHeaderValue = (value: string): boolean => /^[\t\x20-\x7e\x80-\xff]*$/.test(value);

const headers = z
  .record(
    z.string().refine(isHeaderName, { error: 'a header name is expected, other than those the connector sets' }),
    password.pipe(z.string().refine(isHeaderValue, { error: 'a header value may hold only Latin-1 characters' })),
  )
  .default({});

const secret = password.pipe(
  z.string().refine(isSecret, {
    error: 'a secret of Standard Webhooks is expected: whsec_, then 24 to 64 random bytes in base64',
  }),
);

export const httpOptions = z
  .strictObject({
    url: urlText.describe('Where each event is sent to. Redirects are never followed.'),
    secrets: z
      .array(secret)
      .min(1)
      .optional()
      .describe(
        'Secrets that sign each request as in Standard Webhooks, `whsec_…`; several during rotation, each with its own signature. Without them nothing is signed.',
      ),
    format: z
      .enum(FORMATS)
      .default('structured')
      .describe(
        'CloudEvents. structured: the whole event is the body, as application/cloudevents+json. binary: `data` is the body, the rest goes into `ce-` headers.',
      ),
    method: z.enum(['POST', 'PUT', 'PATCH']).default('POST').describe('The method of each request.'),
    headers: headers.describe('Headers of your own, such as `authorization`.'),
    timeoutMs: z
      .int()
      .min(100)
      .max(600_000)
      .default(15_000)
      .describe('How long one request may take, from the connection to the answer.'),
    concurrency: z
      .int()
      .min(1)
      .max(256)
      .default(8)
      .describe('How many groups may have a request in flight at once. Events of one group are sent one by one.'),
    allowPrivate: z
      .boolean()
      .default(false)
      .describe(
        'Whether the endpoint may be on this machine or in a private network. Host names are checked when connecting.',
      ),
    tls: tlsOptions.optional().describe('Certificates for an https:// endpoint.'),
  })
  .refine(({ tls, url }) => tls === undefined || /^https:/i.test(url), {
    path: ['tls'],
    error: 'tls is for https:// URLs only: use https://, or leave tls out',
  })
  .refine(({ url, allowPrivate }) => allowPrivate || !isPrivate(hostOf(new URL(url))), {
    path: ['url'],
    error: 'this address is on this machine or in a private network: set allowPrivate: true to allow it',
  });

export type HttpOptions = z.output<typeof httpOptions>;
