/**
 * Components that several views share. They make nodes from data and call back; none of them makes
 * requests.
 */

import { element, svg, setChildren, setText } from "../element.js";
import { messageOf } from "../network.js";
import { t } from "../text.js";

/** @import { Badge, Child, Notice, ProgressBar } from "../types.d.ts" */

/** @type {Record<string, string>} */
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

/**
 * A state in words with a symbol, so that it does not depend on color.
 * @type {(testid: string) => Badge}
 */
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

/**
 * A progress bar; `update(share, words)` with share from 0 to 1.
 * @type {(label: string, testid: string) => ProgressBar}
 */
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

/**
 * A segmented control made of radio buttons. `options`: [{ value, label }]; test hooks are
 * `name-value`.
 * @type {<T extends string>(options: { name: string; legend: string; options: { value: T;
 *   label: string }[]; value: T; onchange(value: T): void }) => { node: HTMLElement;
 *   disable(disabled: boolean): void }}
 */
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

/**
 * A button that asks for confirmation before it acts.
 * @type {(label: string, question: string, act: () => Promise<unknown>, options?: { testid?:
 *   string; icon?: Icon }) => HTMLElement}
 */
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
      element("button", { type: "button", class: "quiet", onclick: calm }, t("do.cancel")),
    );
    yes.focus();
  };
  calm();
  return node;
}

/**
 * A panel that opens below a button, and closes on Escape and on a click elsewhere.
 * @type {(title: string, testid: string, content: Child, options: { onopen(): void; signal:
 * AbortSignal }) =>
 *   HTMLDetailsElement}
 */
export function dropdown(title, testid, content, { onopen, signal }) {
  const button = element("summary", { class: "button", "data-testid": testid }, title);
  const panel = element("div", { class: "card" }, content);
  const node = element("details", { class: "dropdown" }, button, panel);
  node.addEventListener("toggle", () => node.open && onopen());
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !node.open) return;
    node.open = false;
    button.focus();
  });
  document.addEventListener(
    "pointerdown",
    (event) => event.target instanceof Node && !node.contains(event.target) && (node.open = false),
    { signal },
  );
  return node;
}

/** @typedef {keyof typeof ICONS} Icon */

const ICONS = {
  trash: "M4 7h16M9 7V4h6v3M6.5 7l1 13h9l1-13M10 11v5M14 11v5",
  down: "M12 4v11M7 11l5 5 5-5M5 20h14",
  stop: "M7 7h10v10H7z",
  again: "M19 12a7 7 0 1 1-2-5M17 3v4h-4",
  out: "M8 16 16 8M9 8h7v7",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
};

/** @type {(name: Icon) => SVGElement} */
export const iconOf = (name) =>
  svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));

/**
 * An empty state: what to do next, with a button for it.
 * @type {(title: string, text: Child, ...actions: Child[]) => HTMLElement}
 */
export const emptyState = (title, ...rest) => emptyPart("h2", title, ...rest);

/**
 * The same as the only content of a view.
 * @type {(title: string, text: Child, ...actions: Child[]) => HTMLElement}
 */
export const emptyView = (title, ...rest) => emptyPart("h1", title, ...rest);

/**
 * @type {(heading: "h1" | "h2", title: string, text: Child, ...actions: Child[]) => HTMLElement}
 */
function emptyPart(heading, title, text, ...actions) {
  return element(
    "section",
    { class: "empty-state" },
    element(heading, {}, title),
    element("p", {}, text),
    element("div", { class: "actions" }, actions),
  );
}

/**
 * A line for an error or a notice; empty text hides it.
 * @type {(kind?: string) => Notice}
 */
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

/**
 * The file input as a button; files can be dropped anywhere on the page as well.
 * @type {(onfiles: (files: File[]) => void, label?: string) => HTMLElement}
 */
export function filePicker(onfiles, label = t("picker.chooseOne")) {
  const input = element("input", {
    type: "file",
    multiple: true,
    class: "unseen",
    id: "drop-input",
    "data-testid": "drop-input",
  });
  input.addEventListener("change", () => {
    onfiles([...(input.files ?? [])]);
    input.value = "";
  });
  return element(
    "div",
    { class: "dropzone" },
    element("p", {}, t("picker.drop")),
    input,
    element("label", { class: "button", for: "drop-input" }, label),
    element("p", { class: "soft" }, t("picker.kinds")),
  );
}

/**
 * A secret that is shown once, with a button to copy it.
 * @type {(text: string, testid: string, label: string) => HTMLElement}
 */
export function copyField(text, testid, label) {
  /** @type {HTMLInputElement} */
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
    setText(button, t("do.copied"));
  };
  const button = element(
    "button",
    { type: "button", class: "button", onclick: copy },
    t("do.copy"),
  );
  return element("div", { class: "copy" }, field, button);
}

/**
 * Run the action of a button; an error is shown in `notice`.
 * @type {<T>(notice: Notice, action: () => Promise<T>) => Promise<T>}
 */
export async function attempt(notice, action) {
  notice.say(null);
  try {
    return await action();
  } catch (error) {
    notice.say(messageOf(error));
    throw error;
  }
}
