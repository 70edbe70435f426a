/** Transfer rate over the last seconds. Pure. */

/** @typedef {{ at: number; sent: number }} Sample */

const WINDOW = 4000; // milliseconds: long enough to be steady, short enough to show changes

/**
 * The samples ([{ at, sent }], at in milliseconds) with one more; old ones are dropped except one
 * to measure from.
 * @type {(samples: Sample[], at: number, sent: number) => Sample[]}
 */
export function seen(samples, at, sent) {
  const started = samples.findLastIndex((sample) => at - sample.at > WINDOW);
  return [...samples.slice(Math.max(0, started)), { at, sent }];
}

/**
 * Bytes per second over the samples; null where they span too little time.
 * @type {(samples: Sample[]) => number | null}
 */
export function speed(samples) {
  const [first, last] = [samples.at(0), samples.at(-1)];
  if (!first || !last || last.at - first.at < 200) return null;
  return (1000 * (last.sent - first.sent)) / (last.at - first.at);
}
