import type { ClientRequest } from 'node:http';
import type { ConnectionRequestOptions, ConnectionRequestParams } from '@elastic/elasticsearch';
import { messageOf } from '../../src/model/fault.ts';
import { HttpConnection } from './elastic.ts';

/** How the error for an answer that is no HTTP begins. */
export const NO_HTTP = 'it speaks no HTTP';

/**
 * The client's own connection releases the signal once an answer has begun: one that stalls midway would keep its socket
 * for as long as the other side likes. Here the request always ends with the signal.
 */
export class EndingConnection extends HttpConnection {
  constructor(...given: ConstructorParameters<typeof HttpConnection>) {
    super(...given);
    const { makeRequest } = this;
    this.makeRequest = (...how: unknown[]) => watched(Reflect.apply(makeRequest, undefined, how));
  }

  override buildRequestObject(params: ConnectionRequestParams, options: ConnectionRequestOptions) {
    const { signal } = options;
    return { ...super.buildRequestObject(params, options), ...(signal && { signal: signal as AbortSignal }) };
  }
}

/** By an error's wording, the client takes non-HTTP for a body after an answer to HEAD, and waits for that for ever. */
function watched(request: ClientRequest): ClientRequest {
  let isAnswered = false;
  request.once('response', ({ statusCode = 0 }) => {
    isAnswered = true;
    // A kept connection leads to the same node again, even if the address has others.
    if (statusCode >= 500) request.shouldKeepAlive = false;
  });
  // Without this the connection would be closed, and nobody told.
  request.once('upgrade', (_, socket) => {
    socket.destroy();
    request.emit('error', new Error(`${NO_HTTP} any more, since it answers 101`));
  });
  return request.once('error', (error) => {
    // The client keeps only the message of an error.
    error.message = messageOf(error);
    if (!isAnswered && error.message.startsWith('Parse Error: Expected HTTP/'))
      error.message = `${NO_HTTP}: ${error.message}`;
  });
}
