import type { ClientRequest } from 'node:http';
import type { ConnectionRequestOptions, ConnectionRequestParams } from '@elastic/elasticsearch';
import { messageOf } from '../../src/model/fault.ts';
import { HttpConnection } from './elastic.ts';

/** How the message of an answer begins that is no HTTP. */
export const NO_HTTP = 'it speaks no HTTP';

/**
 * The client's own connection lets go of the signal once an answer has begun: one that stalls in the middle would keep its
 * socket for as long as the other side likes. Here the request ends with the signal, whatever has come of it.
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

/** The client takes what is no HTTP for a body after an answer to HEAD, by the error's words, and waits for that answer for ever. */
function watched(request: ClientRequest): ClientRequest {
  let isAnswered = false;
  request.once('response', ({ statusCode = 0 }) => {
    isAnswered = true;
    // A kept connection ends at the same node again, whichever others have the address.
    if (statusCode >= 500) request.shouldKeepAlive = false;
  });
  // Without this the connection would be closed, and nobody told.
  request.once('upgrade', (_, socket) => {
    socket.destroy();
    request.emit('error', new Error(`${NO_HTTP} any more, since it answers 101`));
  });
  return request.once('error', (error) => {
    // Of an error the client keeps the message alone.
    error.message = messageOf(error);
    if (!isAnswered && error.message.startsWith('Parse Error: Expected HTTP/'))
      error.message = `${NO_HTTP}: ${error.message}`;
  });
}
