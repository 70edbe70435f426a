/** The request of the form as code, for a shell or a notebook, to copy. */

import { copy } from "../drawing.js";
import { element, setText } from "../element.js";
import { asCurl, asPython, asShell } from "../requestcode.js";
import { t } from "../text.js";
import { segmented } from "./parts.js";

/** @import { Spec } from "../types.d.ts" */

const WAYS = /** @type {const} */ ([
  { value: "curl", label: "curl", write: asCurl },
  { value: "shell", label: "landscape", write: asShell },
  { value: "python", label: "Python", write: asPython },
]);

/**
 * `show(spec, nameOf)` writes the request, or says that the form is incomplete; `nameOf` knows the
 * file of an id.
 * @type {() => { node: HTMLElement; show(spec: Spec | null, nameOf: (id: string) => string): void
 * }}
 */
export function requestCard() {
  const blocks = WAYS.map(({ value, write }) => ({
    value,
    write,
    ...codeBlock(`code-${value}`),
  }));
  /** @type {(chosen: string) => void} */
  const choose = (chosen) => blocks.forEach(({ node, value }) => (node.hidden = value !== chosen));
  const [{ value }] = WAYS;
  choose(value);
  const choice = segmented({
    name: "request",
    legend: t("form.language"),
    value,
    options: WAYS.map((way) => ({ value: way.value, label: way.label })),
    onchange: choose,
  });
  const node = element(
    "section",
    { class: "card request" },
    element("header", {}, element("h2", { class: "small" }, t("form.code")), choice.node),
    blocks.map((block) => block.node),
  );
  return {
    node,
    show(spec, nameOf) {
      for (const { write, say } of blocks) say(spec && write(spec, location.origin, nameOf));
    },
  };
}

/** @type {(testid: string) => { node: HTMLElement; say(text: string | null): void }} */
function codeBlock(testid) {
  const code = element("code", { "data-testid": testid });
  const button = element("button", { type: "button", class: "quiet copy" }, t("do.copy"));
  button.addEventListener("click", async () => {
    const copied = await copy(code.textContent).then(
      () => true,
      () => false,
    );
    setText(button, t(copied ? "do.copied" : "do.copyManually"));
    setTimeout(() => setText(button, t("do.copy")), 2000);
  });
  return {
    node: element("div", { class: "code" }, element("pre", { tabindex: 0 }, code), button),
    say(text) {
      setText(code, text ?? t("form.incomplete"));
      button.hidden = text === null;
    },
  };
}
