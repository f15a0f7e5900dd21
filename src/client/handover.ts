interface Offer<Value> {
  readonly value: Value;
  settle(done: boolean): void;
}

export type Handover<Value> = ReturnType<typeof createHandover<Value>>;

/** Hands values to a taker, who is done with a value when taking the next. */
export function createHandover<Value>() {
  const offers: Offer<Value>[] = [];
  let current: Offer<Value> | undefined;
  let wake = (): void => {};
  let ended = false;
  let failure: Error | undefined;

  /** Accepts no more offers; with a reason, `take` throws it. */
  const end = (reason?: Error): void => {
    failure ??= ended ? undefined : reason;
    ended = true;
    for (const { settle } of offers.splice(0)) settle(false);
    wake();
  };

  return {
    end,
    /** Ends, leaving the value taken last unfinished. */
    close(): void {
      end();
      current?.settle(false);
    },
    get ended(): boolean {
      return ended;
    },
    /** Resolves with true once the taker is done with the value, with false if it ended before. */
    offer(value: Value): Promise<boolean> {
      if (ended) return Promise.resolve(false);
      return new Promise((settle) => {
        offers.push({ value, settle });
        wake();
      });
    },
    /** Finishes the value taken before, and waits for the next one; undefined after the end. */
    async take(): Promise<Value | undefined> {
      current?.settle(true);
      current = undefined;
      while (!ended && offers.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      if (failure !== undefined) throw failure;
      current = ended ? undefined : offers.shift();
      return current?.value;
    },
  };
}
