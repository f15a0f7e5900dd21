import { expect, test } from 'vitest';
import { mskToken } from '../../connectors/kafka/msk.ts';

const key = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
const RECORDED = {
  Action: 'kafka-cluster:Connect',
  'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
  'X-Amz-Credential': 'AKIDEXAMPLE/20260102/eu-central-1/kafka-cluster/aws4_request',
  'X-Amz-Date': '20260102T030405Z',
  'X-Amz-Expires': '900',
  'X-Amz-SignedHeaders': 'host',
};

// Recorded of aws-msk-iam-sasl-signer-js 1.0.3, which AWS maintains.
test.each([
  [key, { 'X-Amz-Signature': '00629abe90095b91c1a9e460b67a01a8e4e7499b99f571276b99dd9258dd65e5' }],
  [
    { ...key, sessionToken: 'a+token/with==' },
    {
      'X-Amz-Security-Token': 'a+token/with==',
      'X-Amz-Signature': '7c83efd4a7c49e9d6d87a19b4605865d6b408c808dfa892e7d4c046164323776',
    },
  ],
])('a token for Amazon MSK is what its own library makes', (credentials, recorded) => {
  const url = new URL(
    Buffer.from(mskToken('eu-central-1', credentials, Date.UTC(2026, 0, 2, 3, 4, 5)), 'base64url').toString(),
  );
  expect(url.origin + url.pathname).toBe('https://kafka.eu-central-1.amazonaws.com/');
  const { 'User-Agent': agent, ...query } = Object.fromEntries(url.searchParams);
  expect(agent).toBe('group-sync-bridge');
  expect(query).toEqual({ ...RECORDED, ...recorded });
});
