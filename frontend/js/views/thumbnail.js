/**
 * Thumbnails: the contours of a surface, the line of a slice. Results are cached until the page is
 * closed.
 */

import { THEMES, colorscale } from "../colors.js";
import { svg, setChildren } from "../element.js";
import { drawable } from "../grid.js";
import { isopath } from "../isolines.js";
import { get, unlessAborted } from "../network.js";
import { sharedScale } from "../scales.js";
import { theme } from "../state.js";

/** @import { Colorscale, Part, Result } from "../types.d.ts" */

const SIZE = 64;
const LEVELS = 9;
/** @type {Map<string, Promise<Result>>} */
const results = new Map();

/** @type {() => Colorscale} */
export const thumbnailColors = () => colorscale(THEMES[theme.get()].lines, LEVELS);

/**
 * Fill `host` with the thumbnail of a finished job.
 * @type {(host: HTMLElement, jobId: string, signal: AbortSignal) => Promise<void>}
 */
export async function thumbnail(host, jobId, signal) {
  if (host.dataset.job === jobId) return;
  host.dataset.job = jobId;
  try {
    const asked = results.get(jobId) ?? get(`/api/v1/jobs/${jobId}/result`, signal);
    results.set(jobId, asked);
    const part = drawable(await asked, 33);
    const paint = () =>
      part &&
      setChildren(host, (part.betas.length === 1 ? line : contours)(part, thumbnailColors()));
    paint();
    theme.subscribe(paint, signal);
  } catch (error) {
    results.delete(jobId);
    delete host.dataset.job;
    unlessAborted(error);
  }
}

/** @type {(part: Part, colors: Colorscale) => SVGElement} */
function line(part, colors) {
  const scale = sharedScale([part]);
  const [first, last] = [part.alphas[0], part.alphas[part.alphas.length - 1]];
  /** @type {(loss: number) => number} */
  const y = (loss) =>
    SIZE *
    (0.92 -
      (0.84 * (scale.forward(Math.min(loss, scale.clip ?? loss)) - scale.low)) /
        (scale.high - scale.low));
  const points = part.losses.flatMap(([loss], i) =>
    loss === null
      ? []
      : [
          `${((SIZE * (part.alphas[i] - first)) / (last - first)).toFixed(1)} ${y(loss).toFixed(1)}`,
        ],
  );
  return svg(
    "svg",
    { viewBox: `0 0 ${SIZE} ${SIZE}`, class: "contours", "aria-hidden": "true" },
    svg("path", { d: `M${points.join("L")}`, stroke: colors[2][1] }),
  );
}

/**
 * The contours of (part of) a surface as an SVG, without WebGL.
 * @type {(part: Part, colors: Colorscale) => SVGElement}
 */
export function contours(part, colors) {
  const scale = sharedScale([part]);
  const heights = part.losses.map((row) =>
    row.map((value) => (value === null ? null : scale.forward(value))),
  );
  /** @type {(k: number) => number} */
  const level = (k) => scale.low + ((k + 0.5) * (scale.high - scale.low)) / LEVELS;
  const lines = Array.from({ length: LEVELS }, (_, k) =>
    svg("path", { d: isopath(heights, level(k), SIZE), stroke: colors[k + 1][1] }),
  );
  return svg(
    "svg",
    { viewBox: `0 0 ${SIZE} ${SIZE}`, class: "contours", "aria-hidden": "true" },
    lines,
  );
}
