/** The lines of docs/how-to/read.md that make types for Go and Java: what they make compiles and reads an event. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toMessage } from '../../connectors/kafka/message.ts';
import { entryOf } from '../../src/model/entry.ts';
import { blocksOf, commandsIn } from '../docs/documents.ts';
import { fetchArtifacts } from '../servers/index.ts';
import { madeEvent } from '../support/events.ts';
import { succeed } from './project.ts';

const GO = `package main

import (
	"fmt"
	"os"

	"example.com/reader/groups"
)

func main() {
	event, err := groups.UnmarshalGroupEvent([]byte(os.Args[1]))
	if err != nil {
		panic(err)
	}
	fmt.Println(event.Type, *event.Data.Changed.Name, event.Data.Owner == nil)
}
`;
const JAVA = `
class Reader {
  public static void main(String[] args) throws Exception {
    var event = groups.Converter.fromJsonString(args[0]);
    System.out.println(event.getType().toValue() + " " + event.getData().getChanged().getName() + " " + (event.getData().getOwner() == null));
  }
}
`;

/** `folder` is a project with the consumer kit. */
export async function generates(folder: string, print: (line: string) => void): Promise<void> {
  const lines = blocksOf('docs/how-to/read.md').flatMap(({ text }) =>
    commandsIn(text).filter((line) => line.some((word) => word.startsWith('quicktype'))),
  );
  if (lines.length !== 2) throw new Error('docs/how-to/read.md has no two lines with quicktype');
  mkdirSync(join(folder, 'groups'));
  for (const [program = '', ...args] of lines) await succeed(program, ['--yes', ...args], folder);

  const event = String(toMessage(entryOf(1, madeEvent(1)), 'structured').value);
  writeFileSync(join(folder, 'main.go'), GO);
  writeFileSync(join(folder, 'go.mod'), 'module example.com/reader\n\ngo 1.25\n');
  const go = await succeed('go', ['run', '.', event], folder);
  const classes = join(folder, 'classes');
  writeFileSync(join(folder, 'Reader.java'), JAVA);
  const jars = join((await fetchArtifacts()).kafka, '*');
  const sources = ['Reader.java', '-sourcepath', '.', '-cp', jars, '-d', classes];
  await succeed('javac', sources, folder);
  const java = await succeed('java', ['-cp', `${classes}:${jars}`, 'Reader', event], folder);
  if (new Set([go, java, 'chat.group.info.changed name 1 true\n']).size > 1) throw new Error(`read: ${go}${java}`);
  print('the generated types of Go and Java compile and read an event');
}
