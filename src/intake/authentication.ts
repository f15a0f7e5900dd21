import { hash, timingSafeEqual } from 'node:crypto';
import type { HttpFault } from '../model/fault.ts';
import type { ReceiverSettings } from './context.ts';
import type { CallbackQuery } from './request.ts';

/** Returns the Sign of the vendor's protocol: lowercase hex SHA-256 of Token + RequestTime. */
export function signOf(token: string, requestTime: string): string {
  return hash('sha256', token + requestTime, 'hex');
}

/** Returns undefined if the callback is for this app. */
export function checkApp({ sdkAppId }: CallbackQuery, own: string): HttpFault | undefined {
  if (sdkAppId === own) return undefined;
  return {
    code: 'app-mismatch',
    path: 'SdkAppid',
    message: sdkAppId === undefined ? 'SdkAppid is missing in the query' : 'SdkAppid is not that of this app',
    suggestion: 'compare app.sdkAppId with the vendor’s console',
  };
}

/** Returns undefined if the Sign is right for one of the tokens, and its time close to one of these clocks. */
export function checkSign(
  query: CallbackQuery,
  { tokens, windowMs }: NonNullable<ReceiverSettings['sign']>,
  times: readonly number[],
): HttpFault | undefined {
  const { sign, requestTime } = query;
  if (sign === undefined || requestTime === undefined) {
    const message = `${sign === undefined ? 'Sign' : 'RequestTime'} is missing in the query`;
    const suggestion = 'switch authentication on in the vendor’s console, or leave app.callbackTokens out';
    return { code: 'sign-missing', message, suggestion };
  }
  if (!/^\d{1,12}$/.test(requestTime)) {
    return { code: 'sign-stale', message: 'RequestTime is not a number of seconds since 1970' };
  }
  if (times.every((time) => Math.abs(time - Number(requestTime) * 1000) > windowMs)) {
    return {
      code: 'sign-stale',
      message: `RequestTime is more than ${windowMs / 1000} s away from this clock`,
      suggestion: 'is the clock of this machine right? app.signWindow says how far it may be off',
    };
  }
  const given = Buffer.from(sign.toLowerCase());
  // Tries every token, so that the time taken reveals nothing.
  const right = tokens.map((token) => {
    const wanted = Buffer.from(signOf(token, requestTime));
    return given.length === wanted.length && timingSafeEqual(given, wanted);
  });
  if (right.includes(true)) return undefined;
  const suggestion = 'compare app.callbackTokens with the token in the vendor’s console';
  return { code: 'sign-wrong', message: 'Sign is wrong', suggestion };
}
