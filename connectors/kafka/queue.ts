/** A patch to kafkajs's handling of requests that wait for a connection. */
import { createRequire } from 'node:module';

interface RequestQueue {
  readonly pending: readonly unknown[];
  scheduleCheckPendingRequests(): void;
}

/**
 * Has kafkajs check for waiting requests only while there are some. By itself it sets a timer in the past after each
 * answer and each check, so that every idle connection wakes its thread a thousand times a second.
 */
export function restQueues(): void {
  const load = createRequire(import.meta.url);
  const { prototype }: { prototype: RequestQueue } = load('kafkajs/src/network/requestQueue');
  const { scheduleCheckPendingRequests: schedule } = prototype;
  prototype.scheduleCheckPendingRequests = function look(): void {
    if (this.pending.length > 0) schedule.call(this);
  };
}
