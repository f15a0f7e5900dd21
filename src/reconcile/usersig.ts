import TLSSigAPIv2 from 'tls-sig-api-v2';
import type { Clock } from '../model/clock.ts';

const VALID_SECONDS = 86_400;
/** It is renewed well before its end, so that a wrong clock on either side does no harm. */
const USED_MS = (VALID_SECONDS / 2) * 1_000;

/** Hands out a UserSig that remains valid for hours. */
export function createUserSigs(sdkAppId: string, identifier: string, secretKey: string, clock: Clock) {
  const api = new TLSSigAPIv2.Api(Number(sdkAppId), secretKey);
  let sig = '';
  let madeAt = Number.NEGATIVE_INFINITY;
  return {
    current(): string {
      const now = clock.now();
      if (sig === '' || now - madeAt > USED_MS || now < madeAt) {
        sig = api.genUserSig(identifier, VALID_SECONDS);
        madeAt = now;
      }
      return sig;
    },
    /** Discards the current one, after the service called it expired. */
    renew(): void {
      sig = '';
    },
  };
}
