import type { Clock } from './clock.ts';
import { span } from './text.ts';

/** A single witness further away than this is itself suspect: a proxy, a cache. */
export const MAX_SKEW_MS = 600_000;
const DISAGREE_MS = 30_000;
const WINDOW_MS = 300_000;
/** How many of the latest callbacks are weighed, once half of them have come, of several groups: one may be one sender. */
const WEIGHED = 32;
const MIN_GROUPS = 4;
const SAME_MS = 60_000;
/** Callbacks older than this were deliberately sent again. */
const OLD_MS = 86_400_000;

export function describeDisagreement(skewMs: number): string {
  const far = span(Math.abs(skewMs) / 1_000);
  const which = skewMs > 0 ? `${far} slow` : `${far} fast, unless callbacks come that late`;
  return `this machine’s clock seems to be ${which}, by what the service and its callbacks say: see that it is set right (NTP)`;
}

export type ServiceClock = ReturnType<typeof createServiceClock>;

/**
 * The clock of the service, by which versions of changes are judged: this machine's, corrected by what the service said
 * of its own time. That arrives late, never early, so the highest of some minutes is the best. If this machine is off by
 * more than MAX_SKEW_MS, one witness is not enough: nine in ten of the latest callbacks must agree. `tell` is called when
 * the two clocks begin to disagree, and with 0 when they agree again.
 */
export function createServiceClock(
  { now, elapsed }: Pick<Clock, 'now' | 'elapsed'>,
  tell: (skewMs: number) => void = () => {},
) {
  let highest: number | undefined;
  let before: number | undefined;
  let begun = elapsed();
  const heard: { readonly groupId: string; readonly distance: number }[] = [];
  let count = 0;
  /** The usual distance of EventTimes from this clock, as long as the callbacks agree. */
  let usual = 0;
  let doubted: { readonly skew: number; readonly at: number } | undefined;
  let told = 0;

  const weigh = (): void => {
    const near = (to: number) => heard.filter(({ distance }) => Math.abs(distance - to) <= SAME_MS);
    const distances = heard.map(({ distance }) => distance).sort((a, b) => a - b);
    const middle = distances[distances.length >> 1] as number;
    const agreed = near(middle);
    const several = new Set(agreed.map(({ groupId }) => groupId)).size >= MIN_GROUPS;
    const telling = Math.abs(middle) > DISAGREE_MS && middle > -OLD_MS;
    if (several && agreed.length >= heard.length * 0.9) usual = telling ? middle : 0;
    else if (near(usual).length < heard.length / 2) usual = 0;
  };
  const heeded = (skew: number): boolean => Math.abs(skew) <= MAX_SKEW_MS || Math.abs(skew - usual) <= MAX_SKEW_MS;
  /** Late callbacks prove nothing about the clock, but none comes from the future. */
  const offset = (): number => {
    const said = highest === undefined ? before : Math.max(highest, before ?? highest);
    return said !== undefined && heeded(said) ? said : Math.max(usual, 0);
  };
  const disagreement = (): number => {
    const lately = doubted !== undefined && elapsed() - doubted.at < WINDOW_MS ? doubted.skew : 0;
    return [offset(), usual, lately].find((skew) => Math.abs(skew) > DISAGREE_MS) ?? 0;
  };
  const tellChange = (): void => {
    const skew = disagreement();
    if ((skew === 0) !== (told === 0)) tell(skew);
    told = skew;
  };
  return {
    /** Returns milliseconds since 1970. */
    now: (): number => now() + offset(),
    /** Returns how far the service's clock seems to be ahead of this machine's, in milliseconds; 0 while they agree. */
    disagreement,
    /** The service just said that this is the time; `signed` if nobody else can have said so. */
    observe(at: number, signed = false): void {
      const skew = at - now();
      if (signed && !heeded(skew)) usual = skew;
      if (!heeded(skew)) {
        if (Number.isFinite(skew)) doubted = { skew, at: elapsed() };
        tellChange();
        return;
      }
      if (elapsed() - begun > WINDOW_MS) {
        before = highest ?? before;
        highest = undefined;
        begun = elapsed();
      }
      highest = Math.max(highest ?? skew, skew);
      tellChange();
    },
    /** A callback dated a change this many milliseconds after its receipt; anybody may have written it. */
    hear(groupId: string, distance: number): void {
      heard[count++ % WEIGHED] = { groupId, distance };
      if (heard.length < WEIGHED / 2 || count % 8 !== 0) return;
      weigh();
      tellChange();
    },
  };
}
