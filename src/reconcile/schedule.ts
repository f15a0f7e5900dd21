import type { Config } from '../config/schema.ts';
import type { Journal } from '../journal/append.ts';
import type { Database } from '../journal/database.ts';
import type { GroupReader } from '../journal/groups.ts';
import { createReconcileReader } from '../journal/reconcile-run.ts';
import type { Clock } from '../model/clock.ts';
import type { SignalBus } from '../model/signal.ts';
import { createGroupApi } from './api.ts';
import { createReconciler, type Reconciler } from './reconciler.ts';

type ReconcileConfig = Pick<Config, 'app' | 'reconcile'>;

/** The reconciler, if one is configured; it can be exchanged for another. */
export interface Reconciling {
  reconciler(): Reconciler | undefined;
  /** Stops a run that goes on (the next one goes on where it stopped), then takes the other settings. */
  exchange(config: ReconcileConfig): Promise<void>;
  /** For good. */
  end(): Promise<void>;
}

export function createReconciling(
  config: ReconcileConfig,
  journal: Journal,
  groups: GroupReader,
  { connection }: Database,
  clock: Clock,
  signals: SignalBus,
  signal: AbortSignal,
): Reconciling {
  let ending = new AbortController();

  const start = ({ app: { sdkAppId }, reconcile }: ReconcileConfig): Reconciler | undefined => {
    if (reconcile === undefined) return undefined;
    return createReconciler(
      { ...reconcile, sdkAppId },
      {
        api: createGroupApi({ ...reconcile.api, sdkAppId }, clock),
        groups,
        reader: createReconcileReader(connection),
        begin: journal.beginReconcile,
        record: journal.recordRead,
        clock,
        signals,
      },
      AbortSignal.any([signal, ending.signal]),
    );
  };
  let reconciler = start(config);

  const end = async (): Promise<void> => {
    ending.abort();
    await reconciler?.stop();
  };
  return {
    reconciler: () => reconciler,
    async exchange(next) {
      await end();
      if (signal.aborted) return;
      ending = new AbortController();
      reconciler = start(next);
    },
    end,
  };
}
