/** Numbers, names and times as words. Pure. */

/** @import { Axis, Grid, Job, NonFinite, Progress, Result, Spec } from "./types.d.ts" */

const THIN = "\u202f"; // between groups of digits, and before a unit

/**
 * A number with four significant digits: 0.0002131, 12.35, 1.2e-7 as 1.2 × 10⁻⁷. A dash where there is none.
 * @type {(value: number | null | undefined, figures?: number) => string}
 */
export function number(value, figures = 4) {
  if (value === null || value === undefined) return "–";
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  if (value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e6))
    return scientific(value, Math.min(figures, 3));
  return minus(String(Number(value.toPrecision(figures))));
}

/** @type {(value: number, figures: number) => string} */
function scientific(value, figures) {
  const [mantissa, exponent] = value.toExponential(figures - 1).split("e");
  return `${minus(String(Number(mantissa)))}${THIN}×${THIN}10${superscript(String(Number(exponent)))}`;
}

/** @type {(digits: string) => string} */
const superscript = (digits) =>
  digits.replace(/[-0-9]/g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(c)]));
/** @type {(text: string) => string} */
const minus = (text) => text.replace("-", "−");

/**
 * 0.9867 as 98.67 %.
 * @type {(share: number | null | undefined, digits?: number) => string}
 */
export const percent = (share, digits = 2) =>
  share === null || share === undefined ? "–" : `${Number((100 * share).toFixed(digits))}${THIN}%`;

/**
 * 2601 as 2 601.
 * @type {(count: number) => string}
 */
export const whole = (count) => String(Math.round(count)).replace(/\B(?=(\d{3})+(?!\d))/g, THIN);

/**
 * 3.9 million; exact below a million.
 * @type {(count: number) => string}
 */
export function large(count) {
  if (count < 1e6) return whole(count);
  const [size, name] =
    count < 1e9 ? [1e6, "million"] : count < 1e12 ? [1e9, "billion"] : [1e12, "trillion"];
  return `${Number((count / size).toPrecision(3))} ${name}`;
}

/**
 * `1 point`, `2 points`.
 * @type {(count: number, noun: string) => string}
 */
export const plural = (count, noun) => `${whole(count)} ${noun}${count === 1 ? "" : "s"}`;

/** @type {(count: number) => string} */
export function bytes(count) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  const k = count < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(count) / 3));
  return `${Number((count / 1000 ** k).toPrecision(k ? 3 : 15))}${THIN}${units[k]}`;
}

/**
 * Seconds as 8 s, 2 min 5 s, 3 h 20 min.
 * @type {(seconds: number | null | undefined) => string}
 */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s}${THIN}s`;
  if (s < 3600) return `${Math.floor(s / 60)}${THIN}min${s % 60 ? ` ${s % 60}${THIN}s` : ""}`;
  return `${whole(Math.floor(s / 3600))}${THIN}h ${Math.floor((s % 3600) / 60)}${THIN}min`;
}

/** @type {[number, string][]} */
const AGES = [
  [86400, "day"],
  [3600, "hour"],
  [60, "minute"],
];

/**
 * How long ago, in words; `then` is an ISO time, `now` milliseconds.
 * @type {(then: string | null, now: number) => string}
 */
export function ago(then, now) {
  if (!then) return "–";
  const seconds = Math.max(0, (now - Date.parse(then)) / 1000);
  if (seconds < 45) return "just now";
  const [size, unit] = AGES.find(([size]) => seconds >= size) ?? AGES[2];
  return `${plural(Math.max(1, Math.round(seconds / size)), unit)} ago`;
}

/**
 * [−1, 1]
 * @type {(axis: Axis) => string}
 */
export const range = ({ min, max }) => `[${number(min, 6)}, ${number(max, 6)}]`;

/**
 * 51 × 51 points on [−1, 1]², of a job's grid.
 * @type {(grid: Grid) => string}
 */
export function gridWords({ alpha, beta }) {
  if (!beta) return `${plural(alpha.count, "point")} on ${range(alpha)}`;
  const square = alpha.min === beta.min && alpha.max === beta.max;
  return `${whole(alpha.count)} × ${whole(beta.count)} points on ${square ? `${range(alpha)}²` : `${range(alpha)} × ${range(beta)}`}`;
}

/**
 * The request of a job in one line: surface · 51 × 51 points on [−1, 1]² · all training images · seed 0.
 * @type {(spec: Spec) => string}
 */
export function specWords({
  kind,
  grid,
  split,
  also,
  subset,
  seed,
  repeats = 1,
  directions,
  epochs,
  precision,
}) {
  const images = `${subset ? whole(subset.count) : "all"} ${split === "train" ? "training" : "test"} images`;
  const second = also && `also ${also === "train" ? "training" : "test"} images`;
  const seeds =
    seed !== undefined && (repeats > 1 ? `seeds ${seed}–${seed + repeats - 1}` : `seed ${seed}`);
  const along =
    directions &&
    directions !== "random" &&
    `along ${directions === "gradient" ? "the gradient" : directions}`;
  return [
    kind,
    epochs && `${whole(epochs.length)} checkpoints`,
    grid && gridWords(grid),
    images,
    second,
    along,
    seeds,
    precision && precision !== "float32" && precision,
  ]
    .filter(Boolean)
    .join(" · ");
}

/**
 * The caption of a result, or a line from its request while there is none.
 * @type {(job: Job, result: Result | null) => string}
 */
export const captionOf = (job, result) =>
  result?.caption || `${job.checkpoint.label} · ${specWords(job.spec)}`;

/**
 * "2 points NaN, 1 point infinite": what `non_finite` holds; empty where it holds nothing.
 * @type {(nonFinite: NonFinite[]) => string}
 */
export function holes(nonFinite) {
  const nan = nonFinite.filter(({ value }) => value === "nan").length;
  const infinite = nonFinite.length - nan;
  return [nan && `${plural(nan, "point")} NaN`, infinite && `${plural(infinite, "point")} infinite`]
    .filter(Boolean)
    .join(", ");
}

/**
 * level 3 of 5 · 12.3 points per second · 40 s left
 * @type {(progress: Progress) => string}
 */
export function progressWords({
  done,
  total,
  level,
  levels,
  points_per_second: speed,
  eta_seconds: eta,
}) {
  const parts = [`${whole(done)} of ${plural(total, "point")}`];
  if (levels > 1) parts.push(`level ${Math.min(level + 1, levels)} of ${levels}`);
  if (speed) parts.push(`${number(speed, 3)} points per second`);
  if (eta !== null && eta !== undefined) parts.push(`${duration(eta)} left`);
  return parts.join(" · ");
}

/** @type {Record<string, string>} */
const ESCAPED = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/**
 * User text for Plotly, which renders a subset of HTML.
 * @type {(text: string) => string}
 */
export const escapeHtml = (text) => String(text).replace(/[&<>"']/g, (c) => ESCAPED[c]);

/**
 * With a capital first letter.
 * @type {(text: string) => string}
 */
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/**
 * An ISO time as a date and time in the local time zone, to the minute.
 * @type {(moment: string) => string}
 */
export const until = (moment) =>
  new Date(moment).toLocaleString("en-GB", {
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
  });
