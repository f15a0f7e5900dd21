/** The stand-in on a thread of its own, so that it takes no time from whoever measures. */
import { parentPort, workerData } from 'node:worker_threads';
import { startVendor, type VendorOptions } from './stand-in.ts';

const vendor = await startVendor(workerData as VendorOptions);
parentPort?.postMessage(vendor.url);
