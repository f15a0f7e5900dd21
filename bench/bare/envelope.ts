/** The answer of every bare server, byte for byte that of the bridge. */
export const OK = '{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}';
export const FAIL = '{"ActionStatus":"FAIL","ErrorInfo":"not a callback","ErrorCode":400}';

/** Says where it listens, to whoever started it; ends with that one. */
export function announce(port: number): void {
  process.send?.({ port });
  process.on('disconnect', () => process.exit(0));
  process.on('SIGINT', () => {});
}
