import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, parse } from 'node:path';
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { type Config, configSchema } from '../config/schema.ts';
import { issuesOf } from '../model/complaint.ts';
import { BridgeError } from '../model/fault.ts';
import { filePath } from '../model/secret.ts';
import { check } from './check.ts';
import { commandLine, shellWord } from './installation.ts';
import { addCommand, failed, OWN_FILE, openTo, reachable, requireConfig } from './options.ts';
import { paint, print } from './terminal.ts';

/** The answers that a configuration needs, as text; '' means none. */
interface Answers {
  readonly sdkAppId: string;
  readonly token: string;
  readonly brokers: string;
  readonly elasticsearch: string;
}
type Given = Partial<Omit<Answers, 'token'>>;

export function addInit(program: Command): void {
  const description =
    'write a configuration: on a terminal, asks for what the options lack, then examines its destinations';
  const given = 'init --sdk-app-id 1400701118 --brokers 127.0.0.1:9092 --elasticsearch http://127.0.0.1:9200';
  addCommand(program, 'init', description, 'init', given)
    .option('--config <file>', 'the file to write; an existing one is never changed', OWN_FILE)
    .option('--sdk-app-id <digits>', 'SDKAppID of the Chat app')
    .option('--brokers <list>', 'Kafka brokers, separated by commas: events go to a topic there')
    .option('--elasticsearch <urls>', 'Elasticsearch nodes, separated by commas: groups go to an index there')
    .addHelpText(
      'after',
      '\nThe callback token is asked for, or taken from CALLBACK_TOKEN: others on the machine can read arguments.',
    )
    .action(init);
}

async function init({ config: file, ...given }: Given & { readonly config: string }): Promise<void> {
  if (existsSync(file)) throw taken(file);
  const { error } = filePath.safeParse(file);
  if (error !== undefined) throw new BridgeError({ code: 'usage', path: '--config', message: issuesOf(error) });
  const { stdin, stdout } = process;
  const terminal = stdin.isTTY ? createInterface({ input: stdin, output: stdout }) : undefined;
  const ask = terminal && ((text: string) => terminal.question(text));
  const answers = await answersOf(given, process.env.CALLBACK_TOKEN, ask).finally(() => terminal?.close());
  const { admin } = await write(file, answers, process.env.CALLBACK_TOKEN === answers.token);
  print(`${paint('green', 'written:')} ${file}`);
  try {
    await check({ config: file, connect: true });
  } finally {
    sayNext(file, admin);
  }
}

type Ask = (question: string) => Promise<string>;

/** Resolves with what was given as options, else asked for on the terminal, else left out. */
export async function answersOf(given: Given, token: string | undefined, ask: Ask | undefined): Promise<Answers> {
  let sdkAppId = given.sdkAppId;
  while (ask !== undefined && !isAppId(sdkAppId)) {
    const once = sdkAppId === undefined ? '' : 'Digits only. ';
    sdkAppId = (await ask(`${once}SDKAppID (digits; the vendor’s Chat console shows it): `)).trim();
  }
  if (!isAppId(sdkAppId)) {
    const message = 'an SDKAppID of digits is needed';
    const suggestion = 'give it with --sdk-app-id, such as 1400701118; on a terminal it is asked for';
    throw new BridgeError({ code: 'usage', path: 'app.sdkAppId', message, suggestion });
  }
  const other = async (value: string | undefined, question: string): Promise<string> =>
    (value ?? (await ask?.(`${question}; empty for none): `)) ?? '').trim();
  return {
    sdkAppId,
    token: await other(token, 'Token of the callbacks (the console shows it where authentication is on'),
    brokers: await other(given.brokers, 'Kafka brokers (such as 127.0.0.1:9092, several with commas'),
    elasticsearch: await other(given.elasticsearch, 'Elasticsearch nodes (such as http://127.0.0.1:9200'),
  };
}

const isAppId = (text: string | undefined): text is string =>
  configSchema.shape.app.shape.sdkAppId.safeParse(text).success;

/** Writes the configuration, and a typed token into a file next to it. Leaves neither if the input is refused. */
async function write(file: string, answers: Answers, isInEnvironment: boolean): Promise<Config> {
  mkdirSync(dirname(file), { recursive: true });
  const secret = join(dirname(file), `${parse(file).name}.callback-token`);
  const needsFile = answers.token !== '' && !isInEnvironment;
  if (needsFile) writeNew(secret, `${answers.token}\n`);
  writeNew(file, yamlOf(answers, needsFile ? `file:${secret}` : 'CALLBACK_TOKEN'));
  try {
    return (await requireConfig(file)).config;
  } catch (thrown) {
    for (const written of needsFile ? [secret, file] : [file]) rmSync(written, { force: true });
    throw thrown;
  }
}

function writeNew(file: string, text: string): void {
  try {
    writeFileSync(file, text, { flag: 'wx', mode: 0o600 });
  } catch (thrown) {
    throw (thrown as NodeJS.ErrnoException).code === 'EEXIST' ? taken(file) : thrown;
  }
}

function taken(file: string): BridgeError {
  return failed(`${file} already exists and was not changed`, 'name another with --config, or move it away');
}

const quoted = (text: string): string => JSON.stringify(text.split(',').map((one) => one.trim()));

/** Returns the YAML of a configuration with its token in the variable or file `secret`. */
export function yamlOf({ sdkAppId, token, brokers, elasticsearch }: Answers, secret: string): string {
  const signed = token !== '';
  const tokens = `callbackTokens: [${JSON.stringify(`\${${signed ? secret : 'CALLBACK_TOKEN'}}`)}]`;
  const kafka = `  group-events: # every change, keyed by group id
    kind: kafka
    brokers: ${quoted(brokers)}
    topic: chat.group-info.events
`;
  const index = `  group-index: # one document a group: its current state
    kind: elasticsearch
    nodes: ${quoted(elasticsearch)}
    index: chat-groups
    content: groups
`;
  const events = `  events-file: # every change, as a line of JSON
    kind: file
    path: data/events.ndjson
`;
  const none = brokers === '' && elasticsearch === '';
  return `# Every setting: ${commandLine('schema config')}. What this means, and whether it works: check --connect.

app:
  sdkAppId: "${sdkAppId}" # callbacks of another app are refused
  ${signed ? '' : '# '}${tokens} # the console’s authentication token: each callback must be signed with it

connectors:
${brokers === '' ? '' : kafka}${elasticsearch === '' ? '' : index}${none ? events : ''}`;
}

function sayNext(file: string, admin: Config['admin']): void {
  const named = `--config ${shellWord(file)}`;
  print(
    '',
    `next: ${commandLine(`start ${named}`)}`,
    `      its console is http://${reachable(admin.host)}:${admin.port}/, ${openTo(admin)}`,
    `      ${commandLine(`send ${named}`)} plays the service; then enter the receiver’s URL in the vendor’s console`,
  );
}
