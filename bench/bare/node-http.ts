/** Bare `node:http`: the JSON is parsed and nothing is kept. The ceiling of the runtime on this machine. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { announce, OK } from './envelope.ts';

const answer = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(OK) };

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    JSON.parse(Buffer.concat(chunks).toString());
    response.writeHead(200, answer);
    response.end(OK);
  });
});
server.listen(0, '127.0.0.1', () => announce((server.address() as AddressInfo).port));
