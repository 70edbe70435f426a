/** Parts around a plot: its controls, color key, self-check, warnings and caveats. */

import { element } from "../element.js";
import { VIEWS } from "../figures.js";
import { valueWords } from "../format.js";
import { number, percent } from "../numbers.js";
import { HEIGHTS, HEIGHT_NAMES } from "../scales.js";
import { t } from "../text.js";
import { segmented } from "./parts.js";

/**
 * @import { Child, Chosen, ColorKey, Height, Kind, Provenance, Result, Scale, SelfCheck,
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
  const height = segmented({
    name: "height",
    legend: t("plot.height"),
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
        title: t("plot.resetCameraHint"),
        onclick: reset,
      },
      t("plot.resetCamera"),
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
        legend: t("plot.type"),
        value: chosen.view,
        options: views.map((key) => ({ value: key, label: t(`plot.${key}`) })),
        onchange: (view) => tell({ view }),
      }).node,
    height.node,
    values.length > 1 &&
      segmented({
        name: "value",
        legend: t("plot.value"),
        value: chosen.value,
        options: values.map((key) => ({ value: key, label: valueWords(key) })),
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
    ? t("check.name")
    : t("check.failedIn", { names: failed.map(({ name }) => name).join(", ") });
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
      check.passed && element("span", { class: "unseen" }, ` ${t("check.passed")}`),
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
            element(
              "span",
              { class: "unseen" },
              t(passed ? "check.passedNamed" : "check.failedNamed"),
            ),
            element("span", { class: "text" }, text),
          ),
        ),
      ),
    ),
  );
}

/**
 * The values that a plot of these results can show: loss, accuracy, and each extra array that all
 * of them have.
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
      t("number.lossShort", { loss: number(center.loss, 3) }),
    ),
    ` · ${t("number.lossAndAccuracy", { accuracy: percent(center.accuracy, 1) })}`,
  ];
}

/**
 * Limits of what a plot shows.
 * @type {(kind: Kind | "compare") => HTMLElement}
 */
export function caveat(kind) {
  const line = kind === "slice" || kind === "interpolation";
  const key = kind === "compare" ? "caveat.compare" : line ? "caveat.slice" : "caveat.surface";
  return element("p", { class: "caveat" }, t(key));
}

/**
 * What the height and the colors of a plot mean.
 * @type {(scale: Scale, chosen: Chosen) => string}
 */
export function heightWords(scale, { view, height, value }) {
  const cut = (/** @type {string} */ how) =>
    scale.clip === null ? how : t("plot.clipped", { how, clip: scale.clip });
  if (value !== "loss")
    return cut(view === "contour" ? `${scale.title}, ${scale.contours.says}` : scale.title);
  return view === "contour" ? scale.contours.says : cut(HEIGHTS[height].says);
}
