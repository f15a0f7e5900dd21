/** The order to the load generator and its result, which go between two processes. */
export interface LoadOrder {
  readonly url: string;
  readonly connections: number;
  readonly groups: number;
  /** Callbacks a second, due at their times whatever becomes of the others; without it as many as are answered. */
  readonly rate?: number;
  /** Before the measured time. */
  readonly warmUpMs: number;
  readonly ms: number;
  /** Ends it earlier, after so many callbacks. */
  readonly count?: number;
  /** A word that no other load of the run has. */
  readonly run: string;
  readonly firstNumber: number;
  /** Requires ActionStatus OK in the answer; peers whose body cannot be set are judged by the status alone. */
  readonly envelope: boolean;
}

/** Latencies in ms: of open loops from when a callback was due to its OK, of closed loops from when it was sent. */
export interface LoadResult {
  readonly ok: number;
  readonly okInWarmUp: number;
  readonly sent: number;
  /** The other answers, counted. */
  readonly failures: Readonly<Record<string, number>>;
  readonly measuredMs: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  /** CPU time of the generator. */
  readonly cpuMs: number;
}
