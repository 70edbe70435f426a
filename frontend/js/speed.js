/** How fast something goes, from what was seen of it lately. Pure. */

const WINDOW = 4000; // milliseconds: long enough not to jump, short enough to tell of a change

/** What was seen ([{ at, sent }], at in milliseconds), with one more; what is too old goes, but one older stays to measure from. */
export function seen(samples, at, sent) {
  const started = samples.findLastIndex((sample) => at - sample.at > WINDOW);
  return [...samples.slice(Math.max(0, started)), { at, sent }];
}

/** Bytes a second over what was seen; null where that is too little to tell. */
export function speed(samples) {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || last.at - first.at < 200) return null;
  return (1000 * (last.sent - first.sent)) / (last.at - first.at);
}
