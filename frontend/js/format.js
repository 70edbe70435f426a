/** Requests, progress and times in words. Pure. */

import { language } from "./language.js";
import { duration, number, range, whole } from "./numbers.js";
import { named, t } from "./text.js";

/** @import { Grid, Job, NonFinite, Progress, Result, Spec } from "./types.d.ts" */

/** @type {[number, Intl.RelativeTimeFormatUnit][]} */
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
  if (seconds < 45) return t("time.now");
  const [size, unit] = AGES.find(([size]) => seconds >= size) ?? AGES[2];
  const count = Math.max(1, Math.round(seconds / size));
  return new Intl.RelativeTimeFormat(language).format(-count, unit);
}

/** @type {(moment: string, options: Intl.DateTimeFormatOptions) => string} */
const written = (moment, options) =>
  new Intl.DateTimeFormat(language, options).format(new Date(moment));

/**
 * An ISO time as a date and time in the local time zone, to the minute.
 * @type {(moment: string) => string}
 */
export const until = (moment) => written(moment, { dateStyle: "medium", timeStyle: "short" });

/**
 * The same with seconds.
 * @type {(moment: string) => string}
 */
export const toTheSecond = (moment) =>
  written(moment, { dateStyle: "medium", timeStyle: "medium" });

/**
 * Its time of day, to the second.
 * @type {(moment: string) => string}
 */
export const clock = (moment) => written(moment, { timeStyle: "medium" });

/** Parts of a line, those that there are. */
export const joined = (/** @type {(string | false | null | undefined)[]} */ ...parts) =>
  parts.filter(Boolean).join(" · ");

/**
 * 51 × 51 points on [−1, 1]², of a job's grid.
 * @type {(grid: Grid) => string}
 */
export function gridWords({ alpha, beta }) {
  if (!beta) return t("grid.line", { count: alpha.count, range: range(alpha) });
  const size = { rows: alpha.count, columns: beta.count };
  return alpha.min === beta.min && alpha.max === beta.max
    ? t("grid.square", { ...size, range: range(alpha) })
    : t("grid.plane", { ...size, alpha: range(alpha), beta: range(beta) });
}

/**
 * The request of a job in one line: surface · 51 × 51 points on [−1, 1]² · all training images ·
 * seed 0.
 * @type {(spec: Spec) => string}
 */
export function specWords(spec) {
  const { kind, grid, also, epochs, precision } = spec;
  return joined(
    t(`kind.${kind}`),
    epochs && t("spec.checkpoints", { count: epochs.length }),
    grid && gridWords(grid),
    imagesWords(spec),
    also && t(also === "train" ? "spec.alsoTrain" : "spec.alsoTest"),
    directionWords(spec),
    seedWords(spec),
    precision !== "float32" && precision,
  );
}

/** @type {(spec: Spec) => string} */
function imagesWords({ subset, split }) {
  const train = split === "train";
  if (!subset) return t(train ? "spec.allTrain" : "spec.allTest");
  return t(train ? "spec.train" : "spec.test", { count: subset.count });
}

/** @type {(spec: Spec) => string | null} */
function directionWords({ directions = "random" }) {
  return directions === "random" ? null : named(`choice.Source.${directions}`, directions);
}

/** @type {(spec: Spec) => string | null} */
function seedWords({ seed, repeats = 1 }) {
  if (seed === undefined) return null;
  const first = String(seed);
  return repeats > 1
    ? t("spec.seeds", { first, last: String(seed + repeats - 1) })
    : t("spec.seed", { seed: first });
}

/**
 * The caption of a result, or a line from its request while there is none.
 * @type {(job: Job, result: Result | null) => string}
 */
export const captionOf = (job, result) =>
  result?.caption || joined(job.checkpoint.label, specWords(job.spec));

/**
 * "2 points NaN, 1 point infinite": what `non_finite` holds; empty where it holds nothing.
 * @type {(nonFinite: NonFinite[]) => string}
 */
export function holes(nonFinite) {
  const nan = nonFinite.filter(({ value }) => value === "nan").length;
  const infinite = nonFinite.length - nan;
  return [
    nan && t("holes.nan", { count: nan }),
    infinite && t("holes.infinite", { count: infinite }),
  ]
    .filter(Boolean)
    .join(", ");
}

/**
 * 123 of 2 601 points · level 3 of 5 · 12.3 points per second · 40 s left; or how far a job is
 * prepared.
 * @type {(progress: Progress) => string}
 */
export function progressWords(progress) {
  if (progress.preparing) {
    const { step, done, total } = progress.preparing;
    return t(`progress.preparing.${step}`, { done: whole(done), total: whole(total) });
  }
  const { level, levels, points_per_second: speed, eta_seconds: eta } = progress;
  return joined(
    doneWords(progress),
    levels > 1 && t("progress.level", { level: Math.min(level + 1, levels), levels }),
    speed !== null && t("progress.speed", { speed: number(speed, 3) }),
    eta !== null && t("progress.left", { time: duration(eta) }),
  );
}

/**
 * What part of the points is computed, from 0 to 1; while a job is prepared, what part of that.
 * @type {(progress: Progress) => number}
 */
export function shareDone({ preparing, ...points }) {
  const { done, total } = preparing ?? points;
  return total ? done / total : 0;
}

/**
 * 123 of 2 601 points
 * @type {(progress: Pick<Progress, "done" | "total">) => string}
 */
const doneWords = ({ done, total }) => t("progress.done", { done: whole(done), count: total });

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
export const sentence = (text) => text.charAt(0).toLocaleUpperCase(language) + text.slice(1);

/**
 * A value of a result: loss, accuracy, or the name of one of its arrays.
 * @type {(value: string) => string}
 */
export const valueWords = (value) =>
  value === "loss" || value === "accuracy" ? t(`value.${value}`) : value.replaceAll("_", " ");
