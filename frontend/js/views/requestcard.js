/** The request of the form as code, in two languages, to copy. */

import { copy } from "../drawing.js";
import { element, setText } from "../element.js";
import { asCurl, asPython } from "../requestcode.js";
import { t } from "../text.js";
import { segmented } from "./parts.js";

/** @import { Spec } from "../types.d.ts" */

/**
 * `show(spec)` writes the request, or says that the form is incomplete.
 * @type {() => { node: HTMLElement; show(spec: Spec | null): void }}
 */
export function requestCard() {
  const [curl, python] = [codeBlock("request-curl"), codeBlock("request-python")];
  const choice = segmented({
    name: "request",
    legend: t("form.language"),
    value: "curl",
    options: [
      { value: "curl", label: "curl" },
      { value: "python", label: "Python" },
    ],
    onchange(value) {
      curl.node.hidden = value !== "curl";
      python.node.hidden = value !== "python";
    },
  });
  python.node.hidden = true;
  const node = element(
    "section",
    { class: "card request" },
    element("header", {}, element("h2", { class: "small" }, t("form.code")), choice.node),
    curl.node,
    python.node,
  );
  return {
    node,
    show(spec) {
      curl.show(spec && asCurl(spec, location.origin));
      python.show(spec && asPython(spec, location.origin));
    },
  };
}

/** @type {(testid: string) => { node: HTMLElement; show(text: string | null): void }} */
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
    show(text) {
      setText(code, text ?? t("form.incomplete"));
      button.hidden = text === null;
    },
  };
}
