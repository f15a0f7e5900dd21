import { freePort } from '../../test/servers/index.ts';
import type { Peer } from './peer.ts';
import { onPath, peerFolder, startPeer } from './process.ts';

export interface BinaryPeer extends Pick<Peer, 'name' | 'title' | 'means' | 'envelope'> {
  /** The names it may have on the PATH; the first one found is run. */
  readonly binaries: readonly string[];
  /** Its configuration takes the PEER_… variables from the environment. */
  readonly args: readonly string[];
}

/** A peer that is run when its binary is on the PATH, and left out otherwise. */
export function binaryPeer({ binaries, args, ...peer }: BinaryPeer): Peer {
  const find = (): string | undefined => binaries.map(onPath).find((file) => file !== undefined);
  return {
    ...peer,
    missing: async () => (find() ? undefined : `${binaries.join(' or ')} is not on the PATH`),
    async start({ brokers, elasticsearchUrl, topic, index }) {
      const port = await freePort();
      const folder = peerFolder(peer.name);
      const { hostname, port: elasticsearchPort } = new URL(elasticsearchUrl);
      return startPeer({
        command: find() ?? '',
        args,
        env: {
          PEER_PORT: String(port),
          PEER_FOLDER: folder,
          PEER_BROKERS: brokers,
          PEER_TOPIC: topic,
          PEER_ELASTICSEARCH: elasticsearchUrl,
          PEER_ELASTICSEARCH_HOST: hostname,
          PEER_ELASTICSEARCH_PORT: elasticsearchPort || '9200',
          PEER_INDEX: index,
        },
        url: `http://127.0.0.1:${port}/callback`,
        folder,
      });
    },
  };
}
