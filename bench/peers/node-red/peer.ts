import { join } from 'node:path';
import { freePort } from '../../../test/servers/index.ts';
import type { Peer } from '../peer.ts';
import { onPath, peerFolder, setUp, startPeer } from '../process.ts';

const HERE = import.meta.dirname;

export const nodeRed: Peer = {
  name: 'node-red',
  title: 'Node-RED',
  means: 'Kafka (acks=all, kafkajs in a function node), then Elasticsearch (http request node)',
  envelope: true,
  missing: async () => (onPath('npm') ? undefined : 'npm is not on the PATH'),
  async start({ brokers, elasticsearchUrl, topic, index }, print) {
    setUp(HERE, print);
    const port = await freePort();
    const folder = peerFolder('node-red');
    const installed = join(HERE, '.installed');
    return startPeer({
      command: process.execPath,
      args: [join(installed, 'node_modules/node-red/red.js'), '--settings', join(HERE, 'settings.cjs')],
      env: {
        PEER_PORT: String(port),
        PEER_FOLDER: folder,
        PEER_INSTALLED: installed,
        PEER_BROKERS: brokers,
        PEER_TOPIC: topic,
        PEER_ELASTICSEARCH: elasticsearchUrl,
        PEER_INDEX: index,
      },
      url: `http://127.0.0.1:${port}/callback`,
      folder,
    });
  },
};
