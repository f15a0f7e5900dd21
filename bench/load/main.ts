/** The load generator's own process: runs each order it is sent, one at a time, and ends with its parent. */
import { runLoad } from './generator.ts';
import type { LoadOrder } from './order.ts';

process.on('disconnect', () => process.exit(0));
// Ctrl-C is for the parent.
process.on('SIGINT', () => {});
process.on('message', (order: LoadOrder) => {
  runLoad(order).then(
    (result) => process.send?.({ result }),
    (thrown: unknown) => process.send?.({ failure: thrown instanceof Error ? thrown.message : String(thrown) }),
  );
});
