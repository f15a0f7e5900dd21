import { z } from 'zod';
import { TONES } from '../model/verdict.ts';

export const notify = z.strictObject({
  url: z
    .string()
    .refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), {
      error: 'an https:// or http:// URL is expected, such as that of a Slack webhook',
      abort: true,
    })
    .refine(isSentWhole, { error: 'user, password and the part after # are never sent: leave them out' })
    .describe('Where a JSON object is posted: `text` for people, as Slack’s webhooks expect it, and the verdict.'),
  on: z
    .array(z.enum(TONES))
    .min(1)
    .default([...TONES])
    .describe('Which verdicts are sent: green, amber, red.'),
});

function isSentWhole(text: string): boolean {
  const { username, password, hash } = new URL(text);
  return username + password + hash === '';
}
