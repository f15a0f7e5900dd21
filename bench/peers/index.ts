import { camel } from './camel/peer.ts';
import { fluentBit } from './fluent-bit/peer.ts';
import { nodeRed } from './node-red/peer.ts';
import type { Peer } from './peer.ts';
import { vector } from './vector/peer.ts';

export const PEERS: readonly Peer[] = [vector, nodeRed, camel, fluentBit];
