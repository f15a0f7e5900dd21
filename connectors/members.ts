import { messageOf } from '../src/model/fault.ts';
import type { Finding } from './contract.ts';

/** Names the members of a list that do not answer; one that does is enough, and was found before. */
export async function* silentMembers(
  step: string,
  members: readonly string[],
  ask: (member: string) => Promise<unknown>,
  nameOf = (member: string): string => member,
): AsyncGenerator<Finding> {
  if (members.length === 1) return;
  const asked = members.map((member) =>
    ask(member).then(
      () => undefined,
      (thrown) => `${nameOf(member)} does not answer; the others are used instead (${messageOf(thrown)})`,
    ),
  );
  for (const says of await Promise.all(asked)) {
    if (says !== undefined) yield { step, state: 'note', says };
  }
}
