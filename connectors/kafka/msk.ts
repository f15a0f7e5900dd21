/** The token of Amazon MSK: a request to connect, signed for its user with AWS Signature Version 4. */
import { ALGORITHM, type AwsCredentials, encode, scopeOf, sha256, signatureOf } from '../aws.ts';

export const MSK_TOKEN_SECONDS = 900;

/** `now` is in ms since 1970. */
export function mskToken(region: string, credentials: AwsCredentials, now: number): string {
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  const host = `kafka.${region}.amazonaws.com`;
  const scope = scopeOf(region, 'kafka-cluster', now);
  const query = Object.entries({
    Action: 'kafka-cluster:Connect',
    'X-Amz-Algorithm': ALGORITHM,
    'X-Amz-Credential': [accessKeyId, ...scope.parts].join('/'),
    'X-Amz-Date': scope.time,
    'X-Amz-Expires': String(MSK_TOKEN_SECONDS),
    ...(sessionToken !== undefined && { 'X-Amz-Security-Token': sessionToken }),
    'X-Amz-SignedHeaders': 'host',
  });
  const request = { method: 'GET', path: '/', query, headers: { host }, bodyHash: sha256('') };
  const signature = signatureOf(request, scope, secretAccessKey);
  const sent = query.map((field) => field.map(encode).join('=')).join('&');
  const url = `https://${host}/?${sent}&X-Amz-Signature=${signature}&User-Agent=group-sync-bridge`;
  return Buffer.from(url).toString('base64url');
}
