import { Unreachable } from '../../src/model/fault.ts';
import { differences, type Group } from '../../src/model/group.ts';
import type { Located } from '../contract.ts';
import type { Destination } from './client.ts';
import { misconfiguredFault } from './fault.ts';
import { readDocuments } from './stored.ts';

/** Where the document of a group lies, compared with the journal's state. */
export async function locateGroup(destination: Destination, state: Group, signal: AbortSignal): Promise<Located> {
  const { groupId } = state;
  const { index, onDestroyed } = destination.options;
  const { documents } = await readDocuments(destination, [groupId], signal);
  const stored = documents.get(groupId);
  const unwanted = onDestroyed === 'delete' && state.destroyed;
  switch (stored?.kind) {
    case 'found': {
      const where = `${stored.index}/_doc/${groupId}`;
      const differs = unwanted && stored.group.destroyed ? ['destroyed'] : differences(stored.group, state);
      return differs.length === 0 ? { standing: 'in-step', where } : { standing: 'differs', where, differs };
    }
    case 'missing':
      return { standing: unwanted ? 'in-step' : 'missing', where: `${index}/_doc/${groupId}` };
    case 'unreadable':
      throw new Unreachable(stored.fault);
    case undefined:
      throw new Unreachable(
        misconfiguredFault(
          destination,
          `Elasticsearch said nothing of the document ${groupId}`,
          'see what stands between',
        ),
      );
  }
}
