/** How the open files that the system allows are divided, so that callers of one server cannot take those of the rest. */

/** For the journal, the connectors' clients, logs and Node itself. */
const KEPT_BACK = 64;
/** Even a process that may open next to nothing should answer somebody. */
const LEAST = 8;
const MOST_ADMIN = 256;

/** Returns the limit of open files, and the most connections of each server; `wanted` is the receiver's setting. */
export function shareDescriptors(wanted: number, limit = openFiles()) {
  const free = Math.max(limit - KEPT_BACK, 0);
  const admin = Math.max(LEAST, Math.min(MOST_ADMIN, Math.floor(free / 4)));
  return { limit, admin, receiver: Math.max(LEAST, Math.min(wanted, free - admin)) };
}

/** Returns how many files this process may open; infinite if the system sets or reports no limit. */
function openFiles(): number {
  // Otherwise it would resolve the names of all addresses it is connected to.
  const report = Object.assign(process.report, { excludeNetwork: true });
  const { userLimits } = report.getReport() as { userLimits?: { open_files?: { soft?: number | string } } };
  const soft = userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY;
}
