/** Signs requests for AWS right before each is sent: another node gets its own signature. */
import type {
  ConnectionRequestOptions,
  ConnectionRequestOptionsAsStream,
  ConnectionRequestParams,
  ConnectionRequestResponse,
  ConnectionRequestResponseAsStream,
} from '@elastic/elasticsearch';
import { ALGORITHM, credentialsOf, encode, scopeOf, sha256, signatureOf } from '../aws.ts';
import { EndingConnection } from './connection.ts';
import type { ElasticsearchOptions } from './options.ts';

type Aws = Extract<ElasticsearchOptions['auth'], { aws: unknown }>['aws'];

/** Returns the client's own connection, with each request signed. `setting` is how the YAML names `aws`. */
export function signingConnection(aws: Aws, setting: string): typeof EndingConnection {
  return class extends EndingConnection {
    override request(
      params: ConnectionRequestParams,
      options: ConnectionRequestOptions,
    ): Promise<ConnectionRequestResponse>;
    override request(
      params: ConnectionRequestParams,
      options: ConnectionRequestOptionsAsStream,
    ): Promise<ConnectionRequestResponseAsStream>;
    override async request(
      params: ConnectionRequestParams,
      options: ConnectionRequestOptions | ConnectionRequestOptionsAsStream,
    ): Promise<ConnectionRequestResponse | ConnectionRequestResponseAsStream> {
      return super.request(await signed(params, this.url, aws, setting), options as ConnectionRequestOptions);
    }
  };
}

async function signed(
  params: ConnectionRequestParams,
  node: URL,
  aws: Aws,
  setting: string,
): Promise<ConnectionRequestParams> {
  const { accessKeyId, secretAccessKey, sessionToken } = await credentialsOf(aws, setting);
  const { method, querystring = '', body = '' } = params;
  if (typeof body !== 'string' && !Buffer.isBuffer(body)) throw new TypeError('a stream cannot be signed');
  // Characters that only one side may encode would make two signatures.
  const path = params.path.replace(/[!'()*]/g, encode);
  const scope = scopeOf(aws.region, aws.service, Date.now());
  const bodyHash = sha256(body);
  const headers = {
    host: node.host,
    'x-amz-content-sha256': bodyHash,
    'x-amz-date': scope.time,
    ...(sessionToken !== undefined && { 'x-amz-security-token': sessionToken }),
  };
  const whole = node.pathname.replace(/\/$/, '') + path;
  const query = new URLSearchParams(querystring ?? '');
  const signature = signatureOf({ method, path: whole, query, headers, bodyHash }, scope, secretAccessKey);
  const authorization = [
    `${ALGORITHM} Credential=${[accessKeyId, ...scope.parts].join('/')}`,
    `SignedHeaders=${Object.keys(headers).sort().join(';')}`,
    `Signature=${signature}`,
  ].join(', ');
  return { ...params, path, headers: { ...params.headers, ...headers, authorization } };
}
