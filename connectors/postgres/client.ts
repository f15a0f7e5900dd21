/** One connection, which is opened when it is asked for and again after it was lost. */
import { Socket } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import type { Client } from 'pg';
import { Unreachable } from '../../src/model/fault.ts';
import type { Host } from '../contract.ts';
import { secureOptions } from '../tls.ts';
import { shaped, type TableOptions } from './columns.ts';
import { destinationFault, isOfARow, isOfTheMoment, type Place, refusalOf } from './fault.ts';
import { addressOf, type PostgresOptions } from './options.ts';

const CONNECT_MS = 5_000;
/** How much longer than the server's own limit a silent server is waited for. */
const SILENCE_MS = 2_000;
const CLOSE_MS = 1_000;

/** The table, as every file of this folder sees it. */
export interface Destination extends Place {
  readonly options: TableOptions;
  readonly source: string;
  /** The rows that one statement may have, after one with more took too long. */
  maxRows: number;
  /** Throws what PostgreSQL said where that may concern one row only, else Unreachable, or the signal's reason. */
  query<Row extends object>(text: string, values: readonly unknown[], signal: AbortSignal): Promise<readonly Row[]>;
  created(message: string): void;
  close(): Promise<void>;
}

/** Loads the driver, which only those need who use this kind. */
export async function loadDriver<Module>(name: string, load: () => Promise<Module>): Promise<Module> {
  try {
    return await load();
  } catch {
    const path = `connectors.${name}.kind`;
    const message = 'the package pg is not installed, and connectors of kind: postgres need it';
    throw new Unreachable({ code: 'destination-misconfigured', message, path, suggestion: 'npm i pg' });
  }
}

type Configured = Client & { readonly connectionParameters: { options?: string | undefined } };

interface Connection {
  readonly client: Client;
  readonly socket: Socket;
}

/** Asks nothing of the server yet. */
export async function openDestination(options: PostgresOptions, host: Host): Promise<Destination> {
  const place = { name: host.name, options: shaped(options, host.shape) };
  const { default: pg } = await loadDriver(host.name, () => import('pg'));
  let open: Connection | undefined;

  const connect = async (signal: AbortSignal): Promise<Connection> => {
    const socket = new Socket();
    const client = new pg.Client({ ...(await clientConfig(place, signal)), stream: () => socket }) as Configured;
    // The driver takes PGOPTIONS, such as another search_path, in the place of none.
    client.connectionParameters.options = undefined;
    // Between statements its end is nobody's failure: the next one connects anew.
    client.on('error', () => socket.destroy());
    await cutBy(signal, socket, async () => {
      await client.connect();
      // Compiling the statement would take longer than running it; a timestamp without a zone is read back as UTC.
      const limits = `SET statement_timeout = ${options.statementTimeoutMs}`;
      await client.query(`${limits}; SET jit = off; SET TimeZone = 'UTC'`);
    });
    return { client, socket };
  };

  return {
    ...place,
    source: host.source,
    maxRows: Number.POSITIVE_INFINITY,
    created: host.created,
    async query<Row extends object>(text: string, values: readonly unknown[], signal: AbortSignal) {
      try {
        if (open === undefined || open.socket.destroyed) open = await connect(signal);
        const { client, socket } = open;
        return (await cutBy(signal, socket, () => client.query<Row>(text, [...values]))).rows;
      } catch (thrown) {
        signal.throwIfAborted();
        throw thrown instanceof Unreachable ? thrown : new Failure(thrown, place);
      }
    },
    async close() {
      const { client, socket } = open ?? {};
      open = undefined;
      if (socket === undefined || socket.destroyed) return;
      // A server that hangs does not answer the farewell.
      const timer = setTimeout(() => socket.destroy(), CLOSE_MS);
      await client?.end().catch(() => {});
      clearTimeout(timer);
      socket.destroy();
    },
  };
}

/**
 * Does the work, which ends with the connection when the signal aborts. So does the connection with whatever is not about rows:
 * what was wrong may be mended where only a new session heeds it, such as a setting of the role, or another server that a proxy leads to.
 */
async function cutBy<Result>(signal: AbortSignal, socket: Socket, work: () => Promise<Result>): Promise<Result> {
  signal.throwIfAborted();
  const cut = (): void => void socket.destroy();
  signal.addEventListener('abort', cut, { once: true });
  try {
    return await work();
  } catch (thrown) {
    const refusal = refusalOf(thrown);
    if (refusal === undefined || !(isOfARow(refusal) || isOfTheMoment(refusal))) socket.destroy();
    throw thrown;
  } finally {
    signal.removeEventListener('abort', cut);
  }
}

/** Unreachable, unless somebody who knows the statement finds that it is about a row. */
export class Failure extends Unreachable {
  readonly refusal = refusalOf(this.cause);
  constructor(thrown: unknown, place: Place) {
    super(destinationFault(thrown, place), thrown);
  }
}

/** Reads the files of `tls` anew each time, so that what was renewed there is used. */
async function clientConfig(place: Place, signal: AbortSignal) {
  const { options, name } = place;
  const { password, ...address } = addressOf(options);
  return {
    ...address,
    // Neither the environment nor a file of the user's is asked where it is left out.
    password: () => password,
    ssl: await secure(place, signal),
    sslnegotiation: 'postgres' as const,
    application_name: `group-sync-bridge ${name}`.slice(0, 63),
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: options.statementTimeoutMs + SILENCE_MS,
  };
}

async function secure({ options, name }: Place, signal: AbortSignal) {
  const { tls } = options;
  if (tls === false) return false;
  const { host, port } = addressOf(options);
  const endpoint = { host, port, begin: askForTls };
  const { servername, ...secured } = await secureOptions(tls, `connectors.${name}`, [endpoint], signal);
  // The driver asks for the name of the address, whatever it is given.
  return servername === undefined
    ? secured
    : {
        ...secured,
        checkServerIdentity: (_: string, certificate: Parameters<typeof checkServerIdentity>[1]) =>
          checkServerIdentity(servername, certificate),
      };
}

/** The request for TLS with which a connection begins: its length, and the number that stands for it. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

function askForTls(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('data', (answer) =>
      answer.toString('latin1') === 'S' ? resolve() : reject(new Error('The server does not support SSL connections')),
    );
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the server closes the connection')));
    socket.write(SSL_REQUEST);
  });
}
