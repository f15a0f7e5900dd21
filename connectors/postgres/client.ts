/** One connection, opened on demand and again after a loss. */
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
/** How much longer than the server's own limit to wait for a silent server. */
const SILENCE_MS = 2_000;
const CLOSE_MS = 1_000;

/** The table, as used throughout this folder. */
export interface Destination extends Place {
  readonly options: TableOptions;
  readonly source: string;
  /** The most rows of one statement, after a larger one took too long. */
  maxRows: number;
  /** Rejects with PostgreSQL's error if it may concern a single row, else with Unreachable, or the signal's reason. */
  query<Row extends object>(text: string, values: readonly unknown[], signal: AbortSignal): Promise<readonly Row[]>;
  created(message: string): void;
  close(): Promise<void>;
}

/** Loads the driver, which only users of this kind need. */
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

/** Makes no request yet. */
export async function openDestination(options: PostgresOptions, host: Host): Promise<Destination> {
  const place = { name: host.name, options: shaped(options, host.shape) };
  const { default: pg } = await loadDriver(host.name, () => import('pg'));
  let open: Connection | undefined;

  const connect = async (signal: AbortSignal): Promise<Connection> => {
    const socket = new Socket();
    const client = new pg.Client({ ...(await clientConfig(place, signal)), stream: () => socket }) as Configured;
    // By default the driver takes PGOPTIONS, such as another search_path.
    client.connectionParameters.options = undefined;
    // A connection lost between statements is no failure: the next one reconnects.
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
 * Runs the work, and closes the connection when the signal aborts, or after an error that is not about rows: the remedy
 * may need a new session, as for a setting of the role, or another server behind a proxy.
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

/** Unreachable, unless whoever knows the statement finds that it is about a row. */
export class Failure extends Unreachable {
  readonly refusal = refusalOf(this.cause);
  constructor(thrown: unknown, place: Place) {
    super(destinationFault(thrown, place), thrown);
  }
}

/** Reads the files of `tls` each time, so that renewed ones are used. */
async function clientConfig(place: Place, signal: AbortSignal) {
  const { options, name } = place;
  const { password, ...address } = addressOf(options);
  return {
    ...address,
    // If it is left out, neither the environment nor a file of the user's is consulted.
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
  // The driver always checks for the name of the address.
  return servername === undefined
    ? secured
    : {
        ...secured,
        checkServerIdentity: (_: string, certificate: Parameters<typeof checkServerIdentity>[1]) =>
          checkServerIdentity(servername, certificate),
      };
}

/** The request for TLS that begins a connection: its length, and its code. */
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
