/**
 * Vertical scales: how a loss becomes a height, where the plot is clipped, its ticks and contour
 * levels. Pure.
 */

import { valueWords } from "./format.js";
import { number } from "./numbers.js";
import { t } from "./text.js";

/** @import { Contours, Height, Levels, Matrix, Result, Scale, Ticks } from "./types.d.ts" */

/**
 * The vertical scales to choose from. `paper` is Figure 1 of Li et al. 2018.
 * @type {Record<Height, { label: string; says: string }>}
 */
export const HEIGHTS = {
  linear: { label: t("height.linear"), says: t("height.linearSays") },
  log: { label: t("height.log"), says: t("height.logSays") },
  paper: { label: t("height.paper"), says: t("height.paperSays") },
};

export const HEIGHT_NAMES = /** @type {Height[]} */ (Object.keys(HEIGHTS));

/** Losses above this are clipped, as in the paper; the logarithm needs a floor. Both in nats. */
export const CLIP = 10;
export const FLOOR = 1e-8;

/** @type {Record<Height, (loss: number) => number>} */
const FORWARD = {
  linear: (loss) => loss,
  log: (loss) => Math.log10(Math.max(loss, FLOOR)),
  paper: (loss) => Math.log(Math.max(loss, 0) + 0.1),
};

/** @type {Record<"log" | "paper", (height: number) => number>} */
const BACK = {
  log: (height) => 10 ** height,
  paper: (height) => Number((Math.exp(height) - 0.1).toFixed(9)),
};

/**
 * All finite values of some matrices: [smallest, largest]; [0, 1] where there are none.
 * @type {(matrices: Matrix[]) => [number, number]}
 */
export function extent(matrices) {
  let [low, high] = [Infinity, -Infinity];
  for (const matrix of matrices)
    for (const row of matrix)
      for (const value of row)
        if (value !== null) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return low <= high ? [low, high] : [0, 1];
}

/**
 * The matrix of a result that `value` names: loss, accuracy, or one of its `extra` arrays.
 * @type {(result: Result, value: string) => Matrix}
 */
export const matrixOf = (result, value) =>
  (value === "loss"
    ? result.losses
    : value === "accuracy"
      ? result.accuracies
      : result.extra?.[value]) ?? result.losses;

/**
 * The scale that fits the losses: the paper's for nats that begin below its clipping; others are
 * linear, or logarithmic if they are positive and span more than three decades.
 * @type {(results: Result[]) => Height}
 */
export function defaultHeight(results) {
  const [least, most] = extent(results.map(({ losses }) => losses));
  const nats = results.every(({ provenance }) => (provenance?.loss?.unit ?? "nats") === "nats");
  if (nats && !(least < 0 || least > CLIP)) return "paper";
  return least > 0 && most > 1e3 * least ? "log" : "linear";
}

/**
 * One scale for all `results`: the same heights, colors, ticks and lines for each of them. `of`
 * maps a result to the matrix that is drawn, `forward` one of its values to its height; `low` and
 * `high` bound the box; `clip` is the loss at which the plot is clipped, or null.
 * @type {(results: Result[], chosen?: { value?: string; height?: Height }) => Scale}
 */
export function sharedScale(results, { value = "loss", height = "paper" } = {}) {
  /** @type {(result: Result) => Matrix} */
  const of = (result) => matrixOf(result, value);
  if (/accurac/.test(value)) return accuracyScale(value, of);
  const [least, most] = extent(results.map(of));
  const plain = value !== "loss" && !/loss/.test(value); // not a loss and not clipped like one: an eigenvalue, a ratio
  const clip = !plain && height !== "log" && least < CLIP / 2 && most > CLIP ? CLIP : null;
  const own = plain ? "linear" : height;
  const forward = FORWARD[own];
  const [low, high] = apart(forward(bottom(own, least, clip ?? most)), forward(clip ?? most));
  const scale = {
    value,
    of,
    height: own,
    title: valueWords(value),
    forward,
    low,
    high,
    clip,
    least,
    most,
  };
  const ticks = ticksOf(scale);
  const contours = contoursOf(scale);
  const linear =
    contours.on === FORWARD.log
      ? ticks
      : labelled(niceSteps(contours.start, contours.end, 4), (loss) => loss);
  return {
    ...scale,
    ticks,
    relief: evenLines(low, high),
    contours: { ...contours, ticks: linear },
  };
}

/** @type {(value: string, of: (result: Result) => Matrix) => Scale} */
function accuracyScale(value, of) {
  const values = [0, 25, 50, 75, 100];
  return {
    value,
    of,
    height: "linear",
    title: t("value.accuracyPercent", { value: valueWords(value) }),
    forward: (accuracy) => 100 * accuracy,
    low: 0,
    high: 100,
    clip: null,
    least: 0,
    most: 1,
    backwards: true,
    ticks: { values, text: values.map(String) },
    relief: { start: 10, end: 90, size: 10 },
    contours: {
      start: 10,
      end: 90,
      size: 10,
      says: t("contours.percent"),
      ticks: { values, text: values.map(String) },
    },
  };
}

/**
 * The loss at the floor of the box: 0 where the smallest loss is close to it.
 * @type {(height: Height, least: number, top: number) => number}
 */
function bottom(height, least, top) {
  if (height === "log" || least < 0) return least;
  return least < (height === "paper" ? 0.05 : 0.3 * top) ? 0 : least;
}

/** @type {(low: number, high: number) => [number, number]} */
const apart = (low, high) => (high - low > 1e-12 ? [low, high] : [low - 0.5, high + 0.5]);

/**
 * @type {(scale: { height: Height; forward(loss: number): number; low: number; high: number })
 *   => Ticks}
 */
function ticksOf({ height, forward, low, high }) {
  if (height === "linear") return labelled(niceSteps(low, high, 4), (loss) => loss);
  const losses = height === "paper" ? [0, 0.1, 0.3, 1, 3, 10] : decades(low, high);
  const inside = losses.filter(
    (loss) => forward(loss) >= low - 1e-9 && forward(loss) <= high + 1e-9,
  );
  if (inside.length > 1) return labelled(inside, forward);
  return { values: [low, high], text: labelled([low, high].map(BACK[height])).text };
}

/** @type {(losses: number[], forward?: (loss: number) => number) => Ticks} */
const labelled = (losses, forward) => ({
  values: losses.map(forward ?? Number),
  text: losses.map((loss) => number(loss, 3)),
});

/** @type {(low: number, high: number) => number[]} */
function decades(low, high) {
  const every = Math.max(1, Math.ceil((high - low) / 5));
  const first = Math.ceil(low - 1e-9);
  return Array.from(
    { length: Math.max(0, Math.floor((high - first) / every + 1e-9) + 1) },
    (_, k) => 10 ** (first + k * every),
  );
}

/**
 * About `count` round numbers from `low` to `high`.
 * @type {(low: number, high: number, count: number) => number[]}
 */
export function niceSteps(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 2.5, 5].find((factor) => factor * power >= raw * 0.999) ?? 10);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, k) =>
    Number(((first + k) * step).toPrecision(12)),
  );
}

/**
 * Lines on the surface: evenly spaced in height, the last one at the clip.
 * @type {(low: number, high: number, count?: number) => Levels}
 */
function evenLines(low, high, count = 14) {
  const size = (high - low) / count;
  return { start: low + size, end: high, size };
}

/**
 * Levels of the 2-D contours, in the loss or its logarithm: the paper's 0.1 … 10 in steps of 0.5
 * where the losses cross three or more of them, else evenly spaced ones.
 * @type {(scale: Pick<Scale, "height" | "low" | "high" | "least" | "most">) => Contours}
 */
function contoursOf({ height, low, high, least, most }) {
  if (height === "paper" && least < CLIP && most > 1.6) {
    return {
      start: 0.1,
      end: 9.6,
      size: 0.5,
      on: FORWARD.linear,
      says: t("contours.paper"),
    };
  }
  const size = (high - low) / 16;
  const on = height === "log" ? FORWARD.log : FORWARD.linear;
  if (height === "paper")
    return {
      start: least,
      end: most,
      size: (most - least) / 16 || 1,
      on,
      says: t("contours.even"),
    };
  return {
    start: low + size / 2,
    end: high,
    size,
    on,
    says: t(height === "log" ? "contours.evenLog" : "contours.even"),
  };
}
