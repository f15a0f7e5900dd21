import { join } from 'node:path';
import { binaryPeer } from '../binary.ts';

export const redpandaConnect = binaryPeer({
  name: 'redpanda-connect',
  title: 'Redpanda Connect',
  means: 'Kafka (acks=all) and Elasticsearch acknowledged; nothing kept when they are down',
  // Its answer need not be compact JSON: the status counts.
  envelope: false,
  binaries: ['redpanda-connect'],
  args: ['run', join(import.meta.dirname, 'synchronous.yaml')],
});
