/** Components that several views share. They make nodes from data and call back; none of them makes requests. */

import { element, setChildren, setText, svg } from "../element.js";
import { number, percent } from "../format.js";
import { isLine } from "../grid.js";
import { HEIGHTS } from "../scales.js";

const SYMBOLS = {
  queued: "○",
  running: "◐",
  done: "✓",
  failed: "✕",
  cancelled: "–",
  received: "○",
  reading: "◐",
  ready: "✓",
  rejected: "✕",
  choose: "?",
};

/** A state in words with a symbol, so that it does not depend on color. */
export function badge(testid) {
  const node = element("span", { class: "state", "data-testid": testid });
  return {
    node,
    update(state, words = state) {
      setChildren(
        node,
        element("span", { class: "symbol", "aria-hidden": "true" }, SYMBOLS[state] ?? "·"),
        words,
      );
      node.dataset.state = state;
    },
  };
}

/** A progress bar; `update(share, words)` with share from 0 to 1. */
export function progressBar(label, testid) {
  const bar = element("div", { class: "filled" });
  const node = element(
    "div",
    {
      class: "progress",
      role: "progressbar",
      "aria-label": label,
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "data-testid": testid,
    },
    bar,
  );
  return {
    node,
    update(share, words = "") {
      const percentage = Math.floor(100 * Math.min(1, Math.max(0, share || 0)));
      bar.style.setProperty("transform", `scaleX(${Math.min(1, share || 0)})`);
      node.setAttribute("aria-valuenow", String(percentage));
      if (words) node.setAttribute("aria-valuetext", words);
    },
  };
}

let groups = 0;

/** A segmented control made of radio buttons. `options`: [{ value, label }]; test hooks are `name-value`. */
export function segmented({ name, legend, options, value, onchange }) {
  const group = `${name}-${(groups += 1)}`;
  const inputs = options.map((option) =>
    element("input", {
      type: "radio",
      name: group,
      value: option.value,
      checked: option.value === value,
      "data-testid": `${name}-${option.value}`,
      onchange: () => onchange(option.value),
    }),
  );
  const node = element(
    "fieldset",
    { class: "segmented" },
    element("legend", { class: "unseen" }, legend),
    options.map(({ label }, k) => element("label", {}, inputs[k], element("span", {}, label))),
  );
  return { node, disable: (disabled) => (node.disabled = disabled) };
}

/** The controls of a plot. `change({ view | height | value })` is called with what changed. */
export function pictureControls(
  chosen,
  change,
  {
    views = ["surface", "contour", "heatmap"],
    heights = Object.keys(HEIGHTS),
    values = ["loss", "accuracy"],
    reset = null,
  } = {},
) {
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
  const sync = ({ view, value }) => {
    height.disable(!/loss/.test(value));
    if (camera) camera.hidden = view !== "surface";
  };
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

/** The color key, once for all plots. `key` as figures.js describes it. */
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

/** The self-check of a result in one line that unfolds to each check. Null while there is none. */
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

/** The values that a plot of these results can show: loss, accuracy, and each extra array that all of them have. */
export function valuesOf(results) {
  const extras = results.map(({ extra }) => Object.keys(extra ?? {}));
  const shared = (extras[0] ?? []).filter(
    (name) => !/error/.test(name) && extras.every((names) => names.includes(name)),
  );
  return ["loss", "accuracy", ...shared];
}

/** The warnings of a result, each a sentence; `whose` names the result where several are shown. */
export const warningsOf = (provenance, whose = "") =>
  (provenance?.warnings ?? []).map((text) =>
    element(
      "p",
      { class: "notice warning", "data-testid": "warning" },
      whose && element("b", {}, `${whose}: `),
      text,
    ),
  );

/** Loss and accuracy at the center, in one line. */
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

/** A button that asks for confirmation before it acts. */
export function confirmButton(label, question, act, { testid = "delete", icon = "trash" } = {}) {
  const node = element("span", { class: "confirm" });
  const calm = () =>
    setChildren(
      node,
      element(
        "button",
        { type: "button", class: "icon small", title: label, "data-testid": testid, onclick: ask },
        iconOf(icon),
        element("span", { class: "unseen" }, label),
      ),
    );
  const ask = () => {
    const yes = element(
      "button",
      {
        type: "button",
        class: "danger",
        "data-testid": "confirm",
        onclick: () => act().catch(calm),
      },
      question,
    );
    setChildren(
      node,
      yes,
      element("button", { type: "button", class: "quiet", onclick: calm }, "Cancel"),
    );
    yes.focus();
  };
  calm();
  return node;
}

const ICONS = {
  trash: "M4 7h16M9 7V4h6v3M6.5 7l1 13h9l1-13M10 11v5M14 11v5",
  down: "M12 4v11M7 11l5 5 5-5M5 20h14",
  stop: "M7 7h10v10H7z",
  again: "M19 12a7 7 0 1 1-2-5M17 3v4h-4",
  out: "M8 16 16 8M9 8h7v7",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
};
export const iconOf = (name) =>
  svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));

/** An empty state: what to do next, with a button for it. */
export const emptyState = (title, ...rest) => emptyPart("h2", title, ...rest);

/** The same as the only content of a view. */
export const emptyView = (title, ...rest) => emptyPart("h1", title, ...rest);

function emptyPart(heading, title, text, ...actions) {
  return element(
    "section",
    { class: "empty-state" },
    element(heading, {}, title),
    element("p", {}, text),
    element("div", { class: "actions" }, actions),
  );
}

/** A line for an error or a notice; empty text hides it. */
export function noticeLine(kind = "error") {
  const node = element("p", { class: `notice ${kind}`, role: "alert", hidden: true });
  return {
    node,
    say(text) {
      node.hidden = !text;
      setText(node, text ?? "");
    },
  };
}

/** The file input as a button; files can be dropped anywhere on the page as well. */
export function filePicker(onfiles, label = "Choose a file") {
  const input = element("input", {
    type: "file",
    multiple: true,
    class: "unseen",
    id: "drop-input",
    "data-testid": "drop-input",
  });
  input.addEventListener("change", () => {
    onfiles([...input.files]);
    input.value = "";
  });
  return element(
    "div",
    { class: "dropzone" },
    element("p", {}, "Drop a checkpoint or a data set anywhere on this page, or"),
    input,
    element("label", { class: "button", for: "drop-input" }, label),
    element(
      "p",
      { class: "soft" },
      "Checkpoints: PyTorch .pt, .pth or .t7 with a state dict, or .safetensors. " +
        "Data sets: .npz, .h5, or CIFAR and MNIST as .tar, .gz, .zip or .bin. " +
        "Files are read in a sandbox and never leave this server.",
    ),
  );
}

/** A secret that is shown once, with a button to copy it. */
export function copyField(text, testid, label) {
  const field = element("input", {
    type: "text",
    readOnly: true,
    value: text,
    "data-testid": testid,
    "aria-label": label,
    onfocus: () => field.select(),
  });
  const copy = async () => {
    field.select();
    await navigator.clipboard?.writeText(text).catch(() => {}); // where that is not allowed, the text is selected
    setText(button, "Copied");
  };
  const button = element("button", { type: "button", class: "button", onclick: copy }, "Copy");
  return element("div", { class: "copy" }, field, button);
}

/** Run the action of a button; an error is shown in `notice`. */
export async function attempt(notice, action) {
  notice.say(null);
  try {
    return await action();
  } catch (error) {
    notice.say(error.message);
    throw error;
  }
}

/** Limits of what a plot shows. Source: Li et al. 2018, section 6. */
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

export const caveat = (kind) =>
  element("p", { class: "caveat" }, CAVEATS[kind] ?? CAVEATS[isLine(kind) ? "slice" : "surface"]);
