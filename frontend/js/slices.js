/**
 * Lines through the center as Plotly figures: loss and accuracy over alpha, one result or several.
 * Pure.
 */

import { SERIES } from "./colors.js";
import { base, legend } from "./layouts.js";
import { escapeHtml } from "./format.js";
import { hoverLabel } from "./marks.js";
import { extent } from "./scales.js";
import { t } from "./text.js";

/** @import { Figure, Height, Layout, Matrix, Result, Theme, Trace } from "./types.d.ts" */

/**
 * Loss (left, with the band of its uncertainty) and accuracy (right, dashed) over alpha.
 * `results` as [{result, label}]; `height` is linear, log or paper; `width` of the picture in
 * pixels.
 * @type {(results: { result: Result; label: string }[], options: { theme: Theme; height?:
 *   Height; width?: number }) => Figure}
 */
export function slicesFigure(results, { theme, height = "linear", width = 960 }) {
  const ends = extent(results.map(({ result }) => [result.alphas]));
  const [least, most] = extent(results.map(({ result }) => result.losses));
  const many = results.length > 1;
  const data = results.flatMap(({ result, label }, k) =>
    sliceTraces(result, escapeHtml(fitting(label, width)), SERIES[theme.name][k % 8], {
      theme,
      many,
    }),
  );
  if (many)
    data.push({
      type: "scatter",
      mode: "lines",
      name: t("trace.accuracyRight"),
      x: [null],
      y: [null],
      hoverinfo: "skip",
      line: { color: theme.soft, width: 1.3, dash: "dot" },
    });
  return {
    data,
    layout: layout(theme, {
      height,
      many: many ? results.length : 0,
      ends,
      span: [Math.log10(Math.max(least, 1e-12)) - 0.4, Math.log10(Math.max(most, 1e-12)) + 0.15],
    }),
  };
}

/**
 * A label shortened to the width of the legend.
 * @type {(label: string, width: number) => string}
 */
function fitting(label, width) {
  const most = Math.max(16, Math.floor((width - 120) / 6.4));
  return label.length > most ? `${label.slice(0, most - 1)}…` : label;
}

/**
 * Logarithmic where the losses span more than three decades, else linear as in the paper.
 * @type {(results: Result[]) => Height}
 */
export function defaultSliceHeight(results) {
  const [least, most] = extent(results.map(({ losses }) => losses));
  return least > 0 && most / least > 1e3 ? "log" : "linear";
}

/**
 * The only column of a slice's n × 1 matrix.
 * @type {<T>(matrix: T[][]) => T[]}
 */
export const column = (matrix) => matrix.map((row) => row[0]);

/**
 * @type {(result: Result, label: string, color: string, options: { theme: Theme; many: boolean
 *   }) => Trace[]}
 */
function sliceTraces(result, label, color, { theme, many }) {
  const [loss, accuracy] = [result.losses, result.accuracies].map(column);
  const band = bandOf(result);
  const hoverlabel = hoverLabel(theme);
  const prefix = many ? `${label}: ` : "";
  const line = {
    type: "scatter",
    x: result.alphas,
    connectgaps: false,
    legendgroup: label,
    hoverlabel,
  };
  return [
    ...bands(result.alphas, loss, column(band.errors), { color, label, name: band.name }),
    {
      ...line,
      mode: "lines+markers",
      name: many ? label : t("value.loss"),
      y: loss,
      line: { color, width: 2 },
      marker: { size: 3.5, color },
      hovertemplate: `${prefix}${t("hover.lossAt", { value: "%{y:.4g}", alpha: "%{x:.4g}" })}<extra></extra>`,
    },
    {
      ...line,
      mode: "lines",
      name: t("value.accuracy"),
      showlegend: !many,
      y: accuracy.map((a) => (a === null ? null : 100 * a)),
      yaxis: "y2",
      line: { color, width: 1.3, dash: "dot" },
      hovertemplate: `${prefix}${t("hover.accuracy", { value: "%{y:.2f}" })}<extra></extra>`,
    },
    ...holeTrace(result, theme, prefix),
  ];
}

/**
 * How uncertain the losses are, and what that is: of a mean over seeds the spread of the seeds, else
 * the standard error over the samples.
 * @type {(result: Result) => { errors: Matrix; name: string; says: string }}
 */
export function bandOf(result) {
  const deviations = result.extra.seed_deviations;
  if (!deviations)
    return { errors: result.standard_errors, name: t("trace.error"), says: t("plot.band") };
  const count = result.provenance?.repeated?.seeds.length ?? "";
  return {
    errors: deviations,
    name: t("trace.seeds", { count }),
    says: t("plot.bandOfSeeds", { count }),
  };
}

/**
 * The band of ± these errors, one closed polygon for each run of computed points.
 * @type {(alphas: number[], loss: (number | null)[], error: (number | null)[], options: { color:
 *   string; label: string; name: string }) => Trace[]}
 */
function bands(alphas, loss, error, { color, label, name }) {
  /** @type {(k: number) => [number, number]} */
  const at = (k) => [loss[k] ?? NaN, error[k] ?? NaN];
  /** @type {(loss: number, error: number) => number} */
  const floor = (value, by) => Math.max(value - by, value > 0 ? value * 1e-3 : -Infinity); // above 0, for a log scale
  return runs(loss, error).map((run) => ({
    type: "scatter",
    mode: "lines",
    fill: "toself",
    fillcolor: color,
    opacity: 0.16,
    line: { width: 0 },
    hoverinfo: "skip",
    showlegend: false,
    name,
    legendgroup: label,
    x: [...run.map((k) => alphas[k]), ...run.toReversed().map((k) => alphas[k])],
    y: [...run.map((k) => at(k)[0] + at(k)[1]), ...run.toReversed().map((k) => floor(...at(k)))],
  }));
}

/**
 * Runs of neighboring points where both are known, as lists of indices; at least two long.
 * @type {(loss: (number | null)[], error: (number | null)[]) => number[][]}
 */
export function runs(loss, error) {
  /** @type {number[][]} */
  const found = [];
  /** @type {number[] | null} */
  let run = null;
  loss.forEach((value, k) => {
    if (value === null || error[k] === null) run = null;
    else if (run) run.push(k);
    else found.push((run = [k]));
  });
  return found.filter(({ length }) => length > 1);
}

/** @type {(result: Result, theme: Theme, prefix: string) => Trace[]} */
function holeTrace(result, theme, prefix) {
  if (!result.non_finite.length) return [];
  const points = result.non_finite;
  return [
    {
      type: "scatter",
      mode: "markers",
      name: prefix + t("holes.nonFinite", { count: points.length }),
      x: points.map(({ i }) => result.alphas[i]),
      y: points.map(() => 0),
      yaxis: "y2",
      text: points.map(({ value }) => value),
      hovertemplate: `${t("hover.lossLine", { alpha: "%{x:.4g}", value: "%{text}" })}<extra></extra>`,
      marker: { symbol: "diamond", size: 9, color: theme.warn },
    },
  ];
}

/**
 * @type {(theme: Theme, options: { height: Height; many: number; ends: [number, number]; span:
 *   [number, number] }) => Layout}
 */
function layout(theme, { height, many, ends, span }) {
  const axis = {
    gridcolor: theme.line,
    zerolinecolor: theme.line,
    linecolor: theme.line,
    ticks: "outside",
    ticklen: 4,
    tickcolor: theme.line,
    zeroline: false,
  };
  return {
    ...base(theme),
    margin: { l: 58, r: 54, t: many ? 34 + 19 * many : 34, b: 44 },
    hovermode: "closest",
    xaxis: { ...axis, range: ends, title: { text: "α", standoff: 6 } },
    yaxis: {
      ...axis,
      title: { text: t("value.loss"), standoff: 8 },
      ...(height === "linear"
        ? { rangemode: "tozero" }
        : {
            type: "log",
            range: span,
            exponentformat: "power",
            dtick: Math.max(1, Math.ceil((span[1] - span[0]) / 7)),
          }),
    },
    yaxis2: {
      ...axis,
      title: { text: t("axis.accuracy"), standoff: 8 },
      overlaying: "y",
      side: "right",
      range: [0, 102],
      tickmode: "linear",
      tick0: 0,
      dtick: 25,
      showgrid: false,
    },
    showlegend: true,
    legend: {
      ...legend(theme),
      orientation: many ? "v" : "h",
      y: 1.02,
      yanchor: "bottom",
      traceorder: "normal",
    },
  };
}
