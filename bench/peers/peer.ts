/** Another way to write both copies. */
export interface Peer {
  /** The word on the command line. */
  readonly name: string;
  readonly title: string;
  /** The meaning of an OK there. */
  readonly means: string;
  /** True when the answer's body can be set, and so must say ActionStatus OK. */
  readonly envelope: boolean;
  /** Returns why it cannot be run here, with the remedy; undefined when it can. */
  missing(): Promise<string | undefined>;
  /** Starts it on these servers; resolves when it answers. */
  start(target: PeerTarget, print: (line: string) => void): Promise<RunningPeer>;
}

export interface PeerTarget {
  readonly brokers: string;
  readonly elasticsearchUrl: string;
  readonly topic: string;
  readonly index: string;
}

export interface RunningPeer {
  readonly url: string;
  readonly pid: number;
  close(): Promise<void>;
}
