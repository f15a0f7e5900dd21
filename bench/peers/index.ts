import type { Peer } from './peer.ts';

/** In the order of the README's table. */
export const PEERS: readonly Peer[] = [];
