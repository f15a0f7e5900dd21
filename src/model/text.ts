/** Numbers, sizes and times as people read them: on the console's pages, on the command line, in messages. */

/** 1,234 */
export function figure(number: number): string {
  return number.toLocaleString('en-US', { maximumFractionDigits: 0 });
}

/** 1 event, 1,234 events */
export function plural(number: number, one: string, many = `${one}s`): string {
  return `${figure(number)} ${number === 1 ? one : many}`;
}

/** A rate per second: 0, < 0.1, 0.3, 12.4, 1,240 */
export function rate(perSecond: number): string {
  if (perSecond === 0) return '0';
  if (perSecond < 0.1) return '< 0.1';
  return perSecond.toLocaleString('en-US', { maximumFractionDigits: perSecond < 100 ? 1 : 0 });
}

/** 0.42 ms, 7.3 ms, 120 ms, 2.1 s */
export function latency(ms: number): string {
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${ms.toFixed(ms < 1 ? 2 : ms < 10 ? 1 : 0)} ms`;
}

/** 512 bytes, 3 KiB, 1.2 GiB */
export function size(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  const unit = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(bytes) / 10)));
  const number = bytes / 1024 ** unit;
  return `${number.toLocaleString('en-US', { maximumFractionDigits: unit === 0 || number >= 100 ? 0 : 1 })} ${units[unit]}`;
}

const UNITS = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'min'],
  [1, 's'],
] as const;

/** Two units at most: 420 ms, 9 s, 3 min 20 s, 5 h 12 min, 7 d */
export function duration(ms: number): string {
  if (ms > 0 && ms < 1_000) return `${Math.round(ms)} ms`;
  let rest = Math.max(0, Math.round(ms / 1_000));
  const first = UNITS.findIndex(([seconds]) => rest >= seconds);
  if (first === -1) return '0 s';
  const parts: string[] = [];
  for (const [seconds, unit] of UNITS.slice(first, first + 2)) {
    const amount = Math.floor(rest / seconds);
    if (amount > 0) parts.push(`${amount} ${unit}`);
    rest -= amount * seconds;
  }
  return parts.join(' ');
}
