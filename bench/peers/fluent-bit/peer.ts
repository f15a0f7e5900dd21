import { join } from 'node:path';
import { binaryPeer } from '../binary.ts';

export const fluentBit = binaryPeer({
  name: 'fluent-bit',
  title: 'Fluent Bit',
  means: 'in a chunk file; a kill loses the Kafka copy; body cannot be set',
  envelope: false,
  binaries: ['fluent-bit'],
  args: ['--config', join(import.meta.dirname, 'fluent-bit.yaml')],
});
