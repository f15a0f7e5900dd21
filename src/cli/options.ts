/** What the commands share: their declaration, and how they find the configuration. */
import { existsSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type ClientSettings, loadClientConfig } from '../config/client.ts';
import type { Environment } from '../config/environment.ts';
import type { ConfigResult } from '../config/file.ts';
import { isLoopback } from '../config/listeners.ts';
import { formatProblem, type Problem } from '../config/problems.ts';
import type { Config, ConnectorConfig } from '../config/schema.ts';
import { duration } from '../config/units.ts';
import { urlHost } from '../model/address.ts';
import { BridgeError, type FaultCode } from '../model/fault.ts';
import { didYouMean, figure, plural } from '../model/text.ts';
import { commandLine, packageFile } from './installation.ts';

const DEFAULT_FILE = 'config/bridge.yaml';
export const OWN_FILE = 'bridge.yaml';

export const configOption = new Option(
  '--config <file>',
  `the configuration (default: ${DEFAULT_FILE}, else ${OWN_FILE})`,
);

/** The options of every command that talks to a running bridge. */
export interface AdminOptions {
  readonly config?: string;
  /** By default, the address is that of the configuration. */
  readonly admin?: URL;
  readonly json?: boolean;
}

/** Adds a command, whose help ends with `calls` as examples. */
export function addCommand(parent: Command, name: string, description: string, ...calls: string[]): Command {
  const lines = calls.map((call) => `  ${commandLine(call)}`).join('\n');
  return parent
    .command(name)
    .description(description)
    .addHelpText('after', `\n${calls.length === 1 ? 'Example' : 'Examples'}:\n${lines}`);
}

export function onRunningBridge(command: Command): Command {
  return command
    .addOption(configOption)
    .option('--admin <url>', 'its admin address (default: that of the configuration)', adminUrl)
    .option('--json', 'print JSON');
}

const refusing =
  (code: FaultCode) =>
  (message: string, suggestion?: string): BridgeError =>
    new BridgeError({ code, message, ...(suggestion !== undefined && { suggestion }) });
/** The error of a command that could not do its work. */
export const failed = refusing('command-failed');
/** The error of a command whose arguments make no sense. */
export const misused = refusing('usage');

export function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    if (!/^\d+$/.test(text) || Number(text) < least)
      throw new InvalidArgumentError(`a whole number from ${least} is expected`);
    return Number(text);
  };
}

/** Reads the URL of a receiver, without a query, which would be lost; nor does the vendor's console accept one. */
export function receiverUrl(text: string): URL {
  const url = URL.parse(text);
  if (isHttp(url) && url.href === url.origin + url.pathname) return url;
  throw new InvalidArgumentError('a URL without query and user is expected, such as http://127.0.0.1:8080/callback');
}

/** Refuses parts of a URL that would be ignored. */
function adminUrl(text: string): URL {
  const url = URL.parse(text);
  if (isHttp(url) && url.href === `${url.origin}/`) return url;
  throw new InvalidArgumentError('a URL without path, query and user is expected, such as http://127.0.0.1:8081');
}

const isHttp = (url: URL | null): url is URL => url !== null && /^https?:$/.test(url.protocol);

/** Reads an ISO date, in UTC if it has no zone; undefined for others, even 2026-02-30, which Date takes for 2 March. */
export function isoTime(text: string): number | undefined {
  const [, day, clock] = /^(\d{4}-\d\d-\d\d)(?:[T ]|$)([\d:.]*$)?/.exec(text) ?? [];
  const time = Date.parse(clock ? `${text}Z` : text);
  if (day === undefined || Number.isNaN(time)) return undefined;
  return new Date(`${day}T00:00Z`).toISOString().startsWith(day) ? time : undefined;
}

/** Reads a duration, which needs a unit. */
export function lengthOfTime(text: string): number {
  const read = duration.safeParse(text);
  if (read.success) return read.data;
  throw new InvalidArgumentError('a number with ms, s, m, h or d is expected, such as 60s or 30d');
}

/** Makes a parser of several values: commander passes them one by one, with the earlier results. */
export function listOf<Value>(parse: (text: string) => Value): (text: string, before?: Value[]) => Value[] {
  return (text, before = []) => [...before, parse(text)];
}

/** Called with the problems before they are thrown as one message. */
type Refused = (file: string, problems: readonly Problem[]) => void;

/** Reads the named file, else one in the working directory, else the built-in one. Rejects with a line for each problem. */
export async function requireConfig(
  named: string | undefined,
  refused?: Refused,
): Promise<{ file: string; config: Config }> {
  // Clients of a running bridge do not need this, which takes time to load.
  const { loadConfig } = await import('../config/load.ts');
  return required(named, loadConfig, refused);
}

function required<Settings>(
  named: string | undefined,
  load: (file: string, env: Environment) => ConfigResult<Settings>,
  refused: Refused = () => {},
): { file: string; config: Settings } {
  const file = named ?? [DEFAULT_FILE, OWN_FILE].find((own) => existsSync(own)) ?? packageFile(DEFAULT_FILE);
  const result = load(file, process.env);
  if (result.ok) return { file, config: result.config };
  refused(file, result.problems);
  const count = plural(result.problems.length, 'problem');
  const message = [...result.problems.map(formatProblem), `${count} in ${file}`].join('\n');
  throw new BridgeError({ code: 'config-invalid', message });
}

/** Returns a connector of the configuration; throws a fault that names the existing ones if none has this name. */
export function connectorOf(connectors: Config['connectors'], name: string): ConnectorConfig {
  const found = Object.hasOwn(connectors, name) ? connectors[name] : undefined;
  if (found !== undefined) return found;
  const names = Object.keys(connectors);
  const suggestion = [didYouMean(name, names), `known: ${names.join(', ')}`].filter(Boolean).join(' ');
  throw new BridgeError({ code: 'connector-unknown', message: `no connector is called ${name}`, suggestion });
}

/** Returns undefined if the default file cannot be read, and --admin names the address anyway. */
export function clientConfig({ config, admin }: AdminOptions): ClientSettings | undefined {
  try {
    return required(config, loadClientConfig).config;
  } catch (thrown) {
    if (config !== undefined || admin === undefined || !(thrown instanceof BridgeError)) throw thrown;
    return undefined;
  }
}

/** Describes who may use the admin server. */
export function openTo({ host, token }: Config['admin']): string {
  if (token === undefined) return 'open to everybody on this machine';
  return `open to ${isLoopback(host) ? 'this machine' : 'other machines, too,'} with admin.token`;
}

/** Returns the host of a URL by which this machine reaches a server that listens on `host`: loopback for the wildcards. */
export function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return urlHost(host === '::' ? '::1' : host);
}

/** Says how many named things were missing, to be added to what was done with the others. */
export function missingOf(count: number): string {
  return count > 0 ? `; ${figure(count)} of those named ${count === 1 ? 'was' : 'were'} not found` : '';
}
