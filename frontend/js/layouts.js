/** Layouts of Plotly that figures share: axes, legend, box. Pure. */

import { BOX } from "./camera.js";
import { FONT } from "./marks.js";
import { DECIMAL, THIN } from "./numbers.js";

/** @import { Camera, Layout, Result, Scale, Theme } from "./types.d.ts" */

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

/**
 * @type {(scale: Scale, theme: Theme, camera: Camera | null | undefined, compact: boolean) =>
 *   NonNullable<Layout["scene"]>}
 */
export function scene(scale, theme, camera, compact) {
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
export function plane(result, theme, compact) {
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
