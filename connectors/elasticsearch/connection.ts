import type { ConnectionRequestOptions, ConnectionRequestParams } from '@elastic/elasticsearch';
import { HttpConnection } from './elastic.ts';

/**
 * The client's own connection lets go of the signal once an answer has begun: one that stalls in the middle would keep its
 * socket for as long as the other side likes. Here the request ends with the signal, whatever has come of it.
 */
export class EndingConnection extends HttpConnection {
  override buildRequestObject(params: ConnectionRequestParams, options: ConnectionRequestOptions) {
    const { signal } = options;
    return { ...super.buildRequestObject(params, options), ...(signal && { signal: signal as AbortSignal }) };
  }
}
