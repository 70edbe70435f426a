/**
 * Marks on a plot besides the loss: the center, the minimum, checkpoints, the path of a training
 * run, holes. Pure.
 */

import { holes, escapeHtml } from "./format.js";
import { centerIndex } from "./grid.js";
import { number } from "./numbers.js";
import { t } from "./text.js";

/** @import { Matrix, Result, Scale, Theme, Trace } from "./types.d.ts" */

/** @typedef {Trace & { x: number[]; y: number[] }} Mark */

// deno-lint-ignore page/strings -- names of fonts
export const FONT = '-apple-system, "Segoe UI", "Helvetica Neue", Arial, system-ui, sans-serif';

/** @type {(theme: Theme) => object} */
export function hoverLabel(theme) {
  return {
    bgcolor: theme.card,
    bordercolor: theme.line,
    font: { family: FONT, size: 12, color: theme.ink },
  };
}

/**
 * Traces for a 2-D plot.
 * @type {(result: Result, theme: Theme) => Trace[]}
 */
export function marksInPlane(result, theme) {
  return [...holeTraces(result, theme), ...path(result, theme), ...points(result, theme)].map(
    (trace) => ({ ...trace, type: "scatter" }),
  );
}

/**
 * Traces for a 3-D plot: holes on top of the box, where nothing hides them; the path at its own
 * losses.
 * @type {(result: Result, scale: Scale, theme: Theme) => Trace[]}
 */
export function marksInSpace(result, scale, theme) {
  const onTop = holeTraces(result, theme).map((trace) => ({
    ...trace,
    z: trace.x.map(() => scale.high),
    marker: { symbol: "diamond", size: 5, color: theme.warn },
  }));
  /** @type {(loss: number | null) => number | null} */
  const height = (loss) => (loss === null ? null : Math.min(scale.forward(loss), scale.high));
  const walked =
    scale.value === "loss"
      ? path(result, theme).map((trace) => ({
          ...trace,
          z: result.trajectory?.losses.map(height),
          line: { color: theme.ink, width: 5 },
          marker: { size: 3, color: theme.ink },
        }))
      : [];
  return [...onTop, ...walked].map((trace) => ({ ...trace, type: "scatter3d" }));
}

/**
 * Index of the smallest loss; null where there is none.
 * @type {(losses: Matrix) => [number, number] | null}
 */
export function leastIndex(losses) {
  let least = Infinity;
  /** @type {[number, number] | null} */
  let at = null;
  for (const [i, row] of losses.entries()) {
    for (const [j, value] of row.entries()) {
      if (value !== null && value < least) [least, at] = [value, [i, j]];
    }
  }
  return at;
}

/**
 * The center, the checkpoints that define the plane, and the smallest loss where it is none of
 * them.
 * @type {(result: Result, theme: Theme) => Mark[]}
 */
function points(result, theme) {
  const named = result.provenance?.landmarks ?? [];
  const center = named.length ? [] : [mark(t("trace.center"), [0, 0], "circle", theme)];
  const landmarks = named.map(({ name, coordinates }) => ({
    ...mark(escapeHtml(name), coordinates, "circle", theme),
    mode: "markers+text",
    text: [escapeHtml(name)],
    textposition: "top center",
    textfont: { color: theme.ink, size: 11 },
  }));
  const least = leastIndex(result.losses);
  const at = centerIndex(result.alphas, result.betas);
  const elsewhere = least && !named.length && (!at || least[0] !== at[0] || least[1] !== at[1]);
  return [
    ...center,
    ...landmarks,
    ...(elsewhere
      ? [mark(t("trace.least"), [result.alphas[least[0]], result.betas[least[1]]], "star", theme)]
      : []),
  ];
}

/** @type {(name: string, at: [number, number], symbol: string, theme: Theme) => Mark} */
function mark(name, [x, y], symbol, theme) {
  return {
    mode: "markers",
    name,
    x: [x],
    y: [y],
    showlegend: false,
    hovertemplate: `${name}<extra></extra>`,
    hoverlabel: hoverLabel(theme),
    marker: {
      symbol,
      size: symbol === "star" ? 10 : 8,
      color: theme.accent,
      line: { width: 1.5, color: theme.card },
    },
  };
}

/**
 * The epochs of a training run, joined.
 * @type {(result: Result, theme: Theme) => Mark[]}
 */
function path({ trajectory }, theme) {
  if (!trajectory) return [];
  return [
    {
      mode: "lines+markers",
      name: t("trace.training"),
      x: trajectory.coordinates.map(([a]) => a),
      y: trajectory.coordinates.map(([, b]) => b),
      text: trajectory.losses.map((loss) => number(loss)),
      showlegend: false,
      hovertemplate: `${t("trace.epoch", { epoch: "%{pointNumber}" })}<br>${t("hover.loss", { value: "%{text}" })}<extra></extra>`,
      hoverlabel: hoverLabel(theme),
      line: { color: theme.ink, width: 1.5 },
      marker: { size: 5, color: theme.ink },
    },
  ];
}

/**
 * Points whose loss is NaN or infinite: holes, with their own marker and legend entry.
 * @type {(result: Result, theme: Theme) => Mark[]}
 */
function holeTraces({ alphas, betas, non_finite: lost }, theme) {
  if (!lost.length) return [];
  return [
    {
      mode: "markers",
      name: escapeHtml(holes(lost)),
      x: lost.map(({ i }) => alphas[i]),
      y: lost.map(({ j }) => betas[j]),
      text: lost.map(({ value }) => value),
      hovertemplate: `α %{x:.4g}, β %{y:.4g}<br>${t("hover.loss", { value: "%{text}" })}<extra></extra>`,
      hoverlabel: hoverLabel(theme),
      showlegend: true,
      marker: {
        symbol: "diamond",
        size: 9,
        color: theme.warn,
        line: { width: 1, color: theme.card },
      },
    },
  ];
}
