import { camel } from './camel/peer.ts';
import { nodeRed } from './node-red/peer.ts';
import type { Peer } from './peer.ts';

/** In the order of the README's table. */
export const PEERS: readonly Peer[] = [nodeRed, camel];
