/**
 * A result as a Plotly figure: surface, contour, heatmap. Pure; `transposeForPlotly` is the only
 * place that transposes.
 */

import { colorscale, reversed } from "./colors.js";
import { valueWords } from "./format.js";
import { computed, nearestFilled } from "./grid.js";
import { regionAbove } from "./isolines.js";
import { base, legend, plane, scene } from "./layouts.js";
import { hoverLabel, marksInPlane, marksInSpace } from "./marks.js";
import { t } from "./text.js";

/**
 * @import { ColorKey, Colorscale, Figure, FigureOptions, Matrix, Result, Scale, Theme, Trace,
 *   ViewName } from "./types.d.ts"
 */

/**
 * losses[i][j] at (alphas[i], betas[j]) as Plotly's z[j][i]: rows are beta. n × m in, m × n out.
 * @type {<T>(matrix: T[][]) => T[][]}
 */
export function transposeForPlotly(matrix) {
  return matrix[0].map((_, j) => matrix.map((row) => row[j]));
}

/**
 * The surface over the plane. Values above the clip are cut off by the box, with a line on the rim
 * and a translucent lid. `compact` is for plots in rows and columns, whose labels are at the edge.
 * @type {(result: Result, options: FigureOptions) => Figure}
 */
export function surfaceFigure(result, { scale, theme, camera, compact = false }) {
  const heights = transposeForPlotly(heightsOf(scale, result));
  const surface = {
    type: "surface",
    name: t("trace.surface"),
    x: result.alphas,
    y: result.betas,
    z: heights,
    customdata: transposeForPlotly(scale.of(result)),
    colorscale: colors(scale, theme.lightness),
    cmin: scale.low,
    cmax: scale.high,
    showscale: false,
    contours: {
      z: { show: true, ...scale.relief, color: theme.relief, width: 1, highlight: false },
      x: { highlight: false },
      y: { highlight: false },
    },
    lighting: {
      ambient: theme.ambient,
      diffuse: 0.55,
      specular: 0.06,
      roughness: 0.8,
      fresnel: 0.05,
    },
    lightposition: { x: -8e3, y: -1.2e4, z: 2e4 },
    hovertemplate: hover(scale),
    hoverlabel: hoverLabel(theme),
  };
  const data = [surface, ...lid(result, scale, theme), ...marksInSpace(result, scale, theme)];
  return {
    data,
    layout: {
      ...base(theme),
      scene: scene(scale, theme, camera, compact),
      showlegend: !compact && result.non_finite.length > 0,
      legend: legend(theme),
    },
  };
}

/**
 * The plane seen from above, cell by cell. While the job runs, missing cells take the nearest
 * value, dimmed.
 * @type {(result: Result, options: FigureOptions) => Figure}
 */
export function heatmapFigure(result, { scale, theme, compact = false }) {
  const mask = computed(result);
  const heights = heightsOf(scale, result);
  const cells = {
    type: "heatmap",
    name: scale.title,
    x: result.alphas,
    y: result.betas,
    colorscale: colors(scale, theme.lightness),
    zmin: scale.low,
    zmax: scale.high,
    showscale: false,
  };
  const missing = mask.some((row) => row.includes(false));
  const known = {
    ...cells,
    z: transposeForPlotly(heights),
    customdata: transposeForPlotly(scale.of(result)),
    hovertemplate: hover(scale),
    hoverlabel: hoverLabel(theme),
    hoverongaps: false,
  };
  const guess = {
    ...cells,
    name: t("trace.missing"),
    z: transposeForPlotly(nearestFilled(heights, mask)),
    opacity: 0.22,
    hoverinfo: "skip",
  };
  return {
    data: [...(missing ? [guess] : []), known, ...marksInPlane(result, theme)],
    layout: plane(result, theme, compact),
  };
}

/**
 * Lines of equal loss, at the levels of the scale: the paper's, or evenly spaced ones.
 * @type {(result: Result, options: FigureOptions) => Figure}
 */
export function contourFigure(result, { scale, theme, compact = false, labels = !compact }) {
  const { start, end, size, on = scale.forward } = scale.contours;
  const z = scale.of(result).map((row) => row.map((value) => (value === null ? null : on(value))));
  const lines = {
    type: "contour",
    name: scale.title,
    x: result.alphas,
    y: result.betas,
    z: transposeForPlotly(z),
    customdata: transposeForPlotly(scale.of(result)),
    colorscale: colors(scale, theme.lines),
    zauto: false,
    zmin: start,
    zmax: end,
    autocontour: false,
    showscale: false,
    connectgaps: false,
    contours: {
      coloring: "lines",
      start,
      end,
      size,
      showlabels: labels,
      labelfont: { size: 9, color: theme.soft },
    },
    line: { width: labels ? 1.5 : 1.2, smoothing: 0 },
    hovertemplate: hover(scale),
    hoverlabel: hoverLabel(theme),
  };
  return { data: [lines, ...marksInPlane(result, theme)], layout: plane(result, theme, compact) };
}

/**
 * The color key, for the page and for exports: { title, stops, ticks: [{ at, text }], above }, `at`
 * from 0 to 1. Contours are colored by their level, surfaces and heatmaps by their height.
 * @type {(scale: Scale, view: ViewName, theme: Theme) => ColorKey}
 */
export function keyOf(scale, view, theme) {
  const contour = view === "contour";
  const [low, high, { values, text }] = contour
    ? [scale.contours.start, scale.contours.end, scale.contours.ticks]
    : [scale.low, scale.high, scale.ticks];
  const ticks = values
    .map((value, k) => ({ at: (value - low) / (high - low), text: text[k] }))
    .filter(({ at }) => at > -1e-9 && at < 1 + 1e-9);
  return {
    title: scale.title,
    stops: colors(scale, contour ? theme.lines : theme.lightness),
    ticks,
    above: scale.clip !== null && view === "surface" ? t("plot.above", { clip: scale.clip }) : null,
  };
}

/** @type {Record<ViewName, (result: Result, options: FigureOptions) => Figure>} */
export const FIGURES = { surface: surfaceFigure, contour: contourFigure, heatmap: heatmapFigure };

export const VIEWS = /** @type {ViewName[]} */ (Object.keys(FIGURES));

/** @type {(scale: Scale, lightness: [number, number]) => Colorscale} */
function colors(scale, lightness) {
  const forLoss = colorscale(lightness);
  return scale.backwards ? reversed(forLoss) : forLoss;
}

/** @type {(scale: Scale) => string} */
function hover(scale) {
  const value = t("hover.value", {
    name: valueWords(scale.value),
    value: scale.backwards ? "%{customdata:.2%}" : "%{customdata:.4g}",
  });
  return `α %{x:.4g}, β %{y:.4g}<br>${value}<extra></extra>`;
}

/**
 * A neutral, translucent sheet at the clip, where the loss is above it: the plateau without its
 * noise.
 * @type {(result: Result, scale: Scale, theme: Theme) => Trace[]}
 */
function lid(result, scale, theme) {
  if (scale.clip === null) return [];
  const heights = heightsOf(scale, result);
  const { points, triangles } = regionAbove(heights, scale.high);
  if (!points.length) return [];
  /** @type {(coordinates: number[], k: number) => number} */
  const along = (coordinates, k) =>
    coordinates[Math.floor(k)] +
    (k % 1) * ((coordinates[Math.ceil(k)] ?? 0) - coordinates[Math.floor(k)]);
  // not exactly on the cut, where rounding would speckle it
  const sheet = scale.high - 0.004 * (scale.high - scale.low);
  return [
    {
      type: "mesh3d",
      name: t("plot.above", { clip: scale.clip }),
      x: points.map(([i]) => along(result.alphas, i)),
      y: points.map(([, j]) => along(result.betas, j)),
      z: points.map(() => sheet),
      i: triangles.map(([p]) => p),
      j: triangles.map(([, p]) => p),
      k: triangles.map(([, , p]) => p),
      color: theme.lid,
      opacity: 0.16,
      hoverinfo: "skip",
      lighting: { ambient: 1, diffuse: 0, specular: 0, fresnel: 0 },
      flatshading: true,
    },
  ];
}

/** @type {(scale: Scale, result: Result) => Matrix} */
const heightsOf = (scale, result) =>
  scale.of(result).map((row) => row.map((value) => (value === null ? null : scale.forward(value))));
