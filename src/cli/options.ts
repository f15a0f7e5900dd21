import { type Command, InvalidArgumentError, Option } from 'commander';
import { DEFAULT_FILE } from './configuration.ts';
import { commandLine } from './installation.ts';

export const configOption = new Option('--config <file>', `the configuration (default: ${DEFAULT_FILE})`);

/** Adds the options of a command that speaks to a running bridge: `AdminOptions`. */
export function onRunningBridge(command: Command): Command {
  return command
    .addOption(configOption)
    .option('--admin <url>', 'its admin address (default: that of the configuration)', httpUrl)
    .option('--json', 'print JSON');
}

/** Closes the help of a command with calls of it; the names and ids in them are made up. */
export function examples(...calls: readonly string[]): string {
  const lines = calls.map((call) => `  ${commandLine(call)}`).join('\n');
  return `\n${calls.length === 1 ? 'Example' : 'Examples'}:\n${lines}`;
}

export function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    if (!/^\d+$/.test(text) || Number(text) < least)
      throw new InvalidArgumentError(`a whole number from ${least} is expected`);
    return Number(text);
  };
}

export function httpUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new InvalidArgumentError('a URL is expected, such as http://127.0.0.1:8080/callback');
  }
  return url;
}

/** Makes a parser of several values: commander hands them over one by one, with what it has so far. */
export function listOf<Value>(parse: (text: string) => Value): (text: string, before?: Value[]) => Value[] {
  return (text, before = []) => [...before, parse(text)];
}
