/** Thumbnails: the contours of a surface, the line of a slice. Results are cached until the page is closed. */

import { THEMES, colorscale } from "../colors.js";
import { setChildren, svg } from "../element.js";
import { drawable } from "../grid.js";
import { isopath } from "../isolines.js";
import { get, unlessAborted } from "../network.js";
import { sharedScale } from "../scales.js";
import { theme } from "../state.js";

const SIZE = 64;
const LEVELS = 9;
const results = new Map();

export const thumbnailColors = () => colorscale(THEMES[theme.get()].lines, LEVELS);

/** Fill `host` with the thumbnail of a finished job. */
export async function thumbnail(host, jobId, signal) {
  if (host.dataset.job === jobId) return;
  host.dataset.job = jobId;
  try {
    if (!results.has(jobId)) results.set(jobId, get(`/api/v1/jobs/${jobId}/result`, signal));
    const part = drawable(await results.get(jobId), 33);
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

function line(part, colors) {
  const scale = sharedScale([part]);
  const [first, last] = [part.alphas[0], part.alphas.at(-1)];
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

/** The contours of (part of) a surface as an SVG, without WebGL. */
export function contours(part, colors) {
  const scale = sharedScale([part]);
  const heights = part.losses.map((row) =>
    row.map((value) => (value === null ? null : scale.forward(value))),
  );
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
