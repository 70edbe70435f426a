/** Parts around a plot: its controls, color key, self-check, warnings and caveats. */

import { element } from "../element.js";
import { VIEWS } from "../figures.js";
import { number, percent } from "../format.js";
import { HEIGHTS, HEIGHT_NAMES } from "../scales.js";
import { segmented } from "./parts.js";

/**
 * @import { Child, Chosen, ColorKey, Height, Kind, Provenance, Result, SelfCheck,
 *   ViewName } from "../types.d.ts"
 */

/**
 * The controls of a plot. `change({ view | height | value })` is called with what changed.
 * @type {(chosen: Chosen, change: (part: Partial<Chosen>) => void, options?: { views?:
 *   ViewName[]; heights?: Height[]; values?: string[]; reset?: (() => void) | null }) =>
 *   HTMLElement}
 */
export function pictureControls(
  chosen,
  change,
  { views = VIEWS, heights = HEIGHT_NAMES, values = ["loss", "accuracy"], reset = null } = {},
) {
  /** @type {Record<ViewName, string>} */
  const names = { surface: "3-D", contour: "Contour", heatmap: "Heatmap" };
  const height = segmented({
    name: "height",
    legend: "Height",
    value: chosen.height,
    options: heights.map((key) => ({ value: key, label: HEIGHTS[key].label })),
    onchange: (value) => change({ height: value }),
  });
  const camera =
    reset &&
    element(
      "button",
      {
        type: "button",
        class: "quiet",
        "data-testid": "reset-camera",
        title: "Back to the default view",
        onclick: reset,
      },
      "Reset camera",
    );
  /** @type {(chosen: Chosen) => void} */
  const sync = ({ view, value }) => {
    height.disable(!/loss/.test(value));
    if (camera) camera.hidden = view !== "surface";
  };
  /** @type {(part: Partial<Chosen>) => void} */
  const tell = (part) => {
    Object.assign(chosen, part);
    sync(chosen);
    change(part);
  };
  const node = element(
    "div",
    { class: "controls" },
    views.length > 1 &&
      segmented({
        name: "view",
        legend: "Plot type",
        value: chosen.view,
        options: views.map((key) => ({ value: key, label: names[key] })),
        onchange: (view) => tell({ view }),
      }).node,
    height.node,
    values.length > 1 &&
      segmented({
        name: "value",
        legend: "Value",
        value: chosen.value,
        options: values.map((key) => ({ value: key, label: key.replaceAll("_", " ") })),
        onchange: (value) => tell({ value }),
      }).node,
    camera,
  );
  sync(chosen);
  return node;
}

/**
 * The color key, once for all plots. `key` as figures.js describes it.
 * @type {(key: ColorKey) => HTMLElement}
 */
export function colorKey({ title, stops, ticks, above }) {
  const ramp = element("div", {
    class: "ramp",
    style: {
      background: `linear-gradient(to right, ${stops.map(([t, color]) => `${color} ${100 * t}%`).join(", ")})`,
    },
  });
  const marks = ticks.map(({ at, text }) =>
    element("span", { style: { left: `${100 * at}%` } }, text),
  );
  return element(
    "div",
    { class: "key", "aria-hidden": "true" },
    element("span", { class: "name" }, title),
    element("div", { class: "scale" }, ramp, element("div", { class: "ticks" }, marks)),
    above && element("span", { class: "above" }, above),
  );
}

/**
 * The self-check of a result in one line that unfolds to each check. Null while there is none.
 * @type {(check: SelfCheck | null) => HTMLElement | null}
 */
export function selfCheck(check) {
  if (!check) return null;
  const failed = check.checks.filter(({ passed }) => !passed);
  const words = check.passed
    ? "self-check"
    : `self-check failed: ${failed.map(({ name }) => name).join(", ")}`;
  return element(
    "details",
    {
      class: `self-check ${check.passed ? "passed" : "failed"}`,
      "data-testid": "self-check",
      "data-passed": String(check.passed),
    },
    element(
      "summary",
      {},
      element("span", { "aria-hidden": "true" }, check.passed ? "✓ " : "✕ "),
      words,
      check.passed && element("span", { class: "unseen" }, " passed"),
    ),
    element(
      "ul",
      {},
      check.checks.map(({ name, passed, text }) =>
        element(
          "li",
          { class: passed ? "passed" : "failed" },
          element("span", { "aria-hidden": "true" }, passed ? "✓" : "✕"),
          element(
            "span",
            {},
            element("b", {}, name),
            element("span", { class: "unseen" }, passed ? " passed: " : " failed: "),
            element("span", { class: "text" }, text),
          ),
        ),
      ),
    ),
  );
}

/**
 * The values that a plot of these results can show: loss, accuracy, and each extra array that all of them have.
 * @type {(results: Result[]) => string[]}
 */
export function valuesOf(results) {
  const extras = results.map(({ extra }) => Object.keys(extra ?? {}));
  const shared = (extras[0] ?? []).filter(
    (name) => !/error/.test(name) && extras.every((names) => names.includes(name)),
  );
  return ["loss", "accuracy", ...shared];
}

/**
 * The warnings of a result, each a sentence; `whose` names the result where several are shown.
 * @type {(provenance: Provenance | null | undefined, whose?: string) => HTMLElement[]}
 */
export const warningsOf = (provenance, whose = "") =>
  (provenance?.warnings ?? []).map((text) =>
    element(
      "p",
      { class: "notice warning", "data-testid": "warning" },
      whose && element("b", {}, `${whose}: `),
      text,
    ),
  );

/**
 * Loss and accuracy at the center, in one line.
 * @type {(center: { loss: number | null; accuracy: number | null }, testid: string) => Child}
 */
export function factsLine(center, testid) {
  return [
    element(
      "span",
      { "data-testid": testid, "data-value": String(center.loss) },
      `loss ${number(center.loss, 3)}`,
    ),
    ` · acc ${percent(center.accuracy, 1)}`,
  ];
}

/**
 * Limits of what a plot shows. Source: Li et al. 2018, section 6.
 * @type {Record<string, string>}
 */
export const CAVEATS = {
  surface:
    "A plane is a drastic projection of the parameter space. Non-convexity in the plot is real; a convex look proves " +
    "nothing, only that positive curvature dominates. Frozen BatchNorm statistics make perturbed networks look steeper. " +
    "Colors, levels and height shape the impression, so they are stated with the plot. " +
    "One seed, one plane: repeat before you conclude.",
  slice:
    "A line hides non-convexity: a convex look along one direction proves nothing. Frozen BatchNorm statistics make " +
    "perturbed networks look steeper. One seed, one direction: repeat before you conclude.",
  compare:
    "Compare sharpness only with filter normalization, on the same data and range. A convex look proves nothing; " +
    "non-convexity in the plane is real. One seed, one plane each: repeat before you conclude.",
};

/** @type {(kind: Kind | "compare") => HTMLElement} */
export const caveat = (kind) =>
  element(
    "p",
    { class: "caveat" },
    CAVEATS[kind] ?? CAVEATS[kind === "slice" || kind === "interpolation" ? "slice" : "surface"],
  );
