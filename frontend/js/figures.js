/** A result as a Plotly figure: surface, contour, heatmap. Pure; `transposeForPlotly` is the only place that transposes. */

import { BOX } from "./camera.js";
import { colorscale, reversed } from "./colors.js";
import { valueWords } from "./format.js";
import { computed, nearestFilled } from "./grid.js";
import { regionAbove } from "./isolines.js";
import { FONT, hoverLabel, marksInPlane, marksInSpace } from "./marks.js";
import { DECIMAL, THIN } from "./numbers.js";
import { t } from "./text.js";

/**
 * @import { Camera, ColorKey, Colorscale, Figure, FigureOptions, Layout, Result, Scale, Theme,
 *   Trace, ViewName } from "./types.d.ts"
 */

/**
 * losses[i][j] at (alphas[i], betas[j]) as Plotly's z[j][i]: rows are beta. n × m in, m × n out.
 * @type {<T>(matrix: T[][]) => T[][]}
 */
export function transposeForPlotly(matrix) {
  return matrix[0].map((_, j) => matrix.map((row) => row[j]));
}

/**
 * The surface over the plane. Values above the clip are cut off by the box, with a line on the rim and a translucent
 * lid. `compact` is for plots in rows and columns, whose labels are at the edge.
 * @type {(result: Result, options: FigureOptions) => Figure}
 */
export function surfaceFigure(result, { scale, theme, camera, compact = false }) {
  const heights = transposeForPlotly(
    scale
      .of(result)
      .map((row) => row.map((value) => (value === null ? null : scale.forward(value)))),
  );
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
 * The plane seen from above, cell by cell. While the job runs, missing cells take the nearest value, dimmed.
 * @type {(result: Result, options: FigureOptions) => Figure}
 */
export function heatmapFigure(result, { scale, theme, compact = false }) {
  const mask = computed(result);
  const heights = scale
    .of(result)
    .map((row) => row.map((value) => (value === null ? null : scale.forward(value))));
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
 * The color key, for the page and for exports: { title, stops, ticks: [{ at, text }], above }, `at` from 0 to 1.
 * Contours are colored by their level, surfaces and heatmaps by their height.
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

/**
 * Layout that every figure shares.
 * @type {(theme: Theme) => Layout}
 */
export function base(theme) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 0, r: 0, t: 0, b: 0 },
    autosize: true,
    font: { family: FONT, size: 11, color: theme.soft },
    hoverlabel: { font: { family: FONT, size: 12 } },
    showlegend: false,
    dragmode: "pan",
    separators: DECIMAL + THIN,
    modebar: { bgcolor: "rgba(0,0,0,0)", color: theme.soft, activecolor: theme.ink },
  };
}

/** @type {(theme: Theme) => object} */
export const legend = (theme) => ({
  x: 0,
  y: 1,
  xanchor: "left",
  yanchor: "top",
  bgcolor: "rgba(0,0,0,0)",
  font: { color: theme.ink, size: 12 },
});

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
 * A neutral, translucent sheet at the clip, where the loss is above it: the plateau without its noise.
 * @type {(result: Result, scale: Scale, theme: Theme) => Trace[]}
 */
function lid(result, scale, theme) {
  if (scale.clip === null) return [];
  const heights = scale
    .of(result)
    .map((row) => row.map((value) => (value === null ? null : scale.forward(value))));
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

/**
 * @type {(scale: Scale, theme: Theme, camera: Camera | null | undefined, compact: boolean) =>
 *   NonNullable<Layout["scene"]>}
 */
function scene(scale, theme, camera, compact) {
  const axis = {
    showbackground: false,
    gridcolor: theme.line,
    zeroline: false,
    showspikes: false,
    linecolor: theme.line,
    ticks: "",
    tickfont: { size: compact ? 10 : 11, color: theme.soft },
    nticks: 5,
  };
  // space between the lowest tick and those of the floor
  const [low, high] = [scale.low - 0.06 * (scale.high - scale.low), scale.high];
  /** @type {(text: string) => object} */
  const title = (text) => ({ text: compact ? "" : text, font: { size: 12, color: theme.soft } });
  return {
    xaxis: { ...axis, title: title("α") },
    yaxis: { ...axis, title: title("β") },
    zaxis: {
      ...axis,
      title: title(scale.title),
      range: [low, high],
      tickvals: scale.ticks.values,
      ticktext: scale.ticks.text,
    },
    aspectmode: "manual",
    aspectratio: BOX,
    camera,
    dragmode: "turntable",
  };
}

/** @type {(result: Result, theme: Theme, compact: boolean) => Layout} */
function plane(result, theme, compact) {
  const axis = {
    showgrid: false,
    zeroline: false,
    ticks: "outside",
    ticklen: 4,
    tickcolor: theme.line,
    linecolor: theme.line,
    showline: true,
    mirror: true,
    nticks: compact ? 3 : 6,
    tickfont: { size: compact ? 10 : 11 },
  };
  /** @type {(coordinates: number[]) => (number | undefined)[]} */
  const span = (coordinates) => [coordinates[0], coordinates.at(-1)];
  const [width, height] = [result.alphas, result.betas].map((c) => c[c.length - 1] - c[0]);
  const square = width / height < 2 && height / width < 2;
  return {
    ...base(theme),
    margin: compact ? { l: 30, r: 10, t: 8, b: 24 } : { l: 48, r: 12, t: 12, b: 40 },
    xaxis: {
      ...axis,
      range: span(result.alphas),
      constrain: "domain",
      title: { text: compact ? "" : "α", standoff: 6 },
    },
    yaxis: {
      ...axis,
      range: span(result.betas),
      constrain: "domain",
      title: { text: compact ? "" : "β", standoff: 2 },
      ...(square ? { scaleanchor: "x" } : {}),
    },
    legend: { ...legend(theme), orientation: "h", y: 1.02, yanchor: "bottom" },
    showlegend: !compact && result.non_finite.length > 0,
  };
}
