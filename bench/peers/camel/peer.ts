import { join } from 'node:path';
import { freePort } from '../../../test/servers/index.ts';
import type { Peer } from '../peer.ts';
import { onPath, peerFolder, setUp, startPeer } from '../process.ts';

const HERE = import.meta.dirname;

export const camel: Peer = {
  name: 'camel',
  title: 'Apache Camel',
  means: 'Kafka (acks=all), then Elasticsearch (rest client)',
  envelope: true,
  async missing() {
    const absent = ['java', 'mvn'].filter((name) => onPath(name) === undefined);
    return absent.length === 0 ? undefined : `not on the PATH: ${absent.join(', ')} (Java 17 and Maven)`;
  },
  async start({ brokers, elasticsearchUrl, topic, index }, print) {
    setUp(HERE, print);
    const port = await freePort();
    const installed = join(HERE, '.installed');
    return startPeer({
      command: 'java',
      args: ['-Xmx512m', '-cp', `${join(installed, 'classes')}:${join(installed, 'lib', '*')}`, 'BothCopies'],
      env: {
        PEER_PORT: String(port),
        PEER_BROKERS: brokers,
        PEER_TOPIC: topic,
        PEER_ELASTICSEARCH: new URL(elasticsearchUrl).host,
        PEER_INDEX: index,
      },
      url: `http://127.0.0.1:${port}/callback`,
      folder: peerFolder('camel'),
    });
  },
};
