import { join } from 'node:path';
import { binaryPeer } from '../binary.ts';

export const vector = binaryPeer({
  name: 'vector',
  title: 'Vector',
  means: 'Kafka (acks=all) and Elasticsearch acknowledged; nothing kept when they are down; body cannot be set',
  envelope: false,
  binaries: ['vector'],
  args: ['--quiet', '--config', join(import.meta.dirname, 'vector.yaml')],
});
