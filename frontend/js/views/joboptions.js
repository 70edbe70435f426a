/**
 * The options of a new job that most jobs leave as they are, each drawn from its definition in
 * kinds.js.
 */

import { element, setChildren, setText } from "../element.js";
import { IN_SENTENCE, allOptions, definitionOf } from "../request.js";
import { named, t } from "../text.js";

/**
 * @import { Form, Option } from "../types.d.ts"
 * @import { Fields } from "./formfields.js"
 */

/**
 * The options, folded away. `update` shows those of the chosen kind.
 * @type {(form: Form, fields: Fields) => { node: HTMLDetailsElement; update(): void }}
 */
export function jobOptions(form, fields) {
  const own = Object.entries(allOptions()).filter(([name]) => !IN_SENTENCE.includes(name));
  const choices = new Map(own.map(([name, option]) => [name, choice(name, option, fields)]));
  const beta = element(
    "label",
    { class: "check" },
    fields.checkbox("ownBeta", "job-own-beta"),
    t("input.ownBeta"),
  );
  const seed = element(
    "label",
    { class: "option" },
    element("span", { class: "name" }, t("input.subsetSeed")),
    fields.field("subsetSeed", "job-subset-seed", 6),
  );
  const summary = element("p", { class: "soft" });
  const list = element("div", { class: "choices" });
  let shown = "";
  const node = element(
    "details",
    { class: "advanced" },
    element("summary", { "data-testid": "more-options" }, t("form.more")),
    summary,
    list,
  );
  return {
    node,
    update() {
      const { grid, axes, options } = definitionOf(form.kind);
      setText(summary, named(`kind.${form.kind}.summary`));
      beta.hidden = !grid || axes === 1;
      seed.hidden = form.images === "all";
      if (shown === form.kind) return;
      shown = form.kind;
      setChildren(
        list,
        beta,
        Object.keys(options).map((name) => choices.get(name)),
        seed,
      );
    },
  };
}

/**
 * An option: its label, its input and what it means.
 * @type {(name: string, option: Option, fields: Fields) => HTMLElement}
 */
function choice(name, option, { select, field, checkboxes }) {
  const testid = `job-${name.replaceAll("_", "-")}`;
  const many = Array.isArray(option.default);
  const label = element("span", { class: "name" }, named(`option.${name}`, name));
  const about = element(
    "span",
    { class: "soft about", id: `about-${name}` },
    named(`option.${name}.help`),
  );
  if (many)
    return element(
      "div",
      { class: "option" },
      label,
      checkboxes(name, testid, choicesOf(option)),
      about,
    );
  const control = option.choices
    ? select(name, testid, choicesOf(option))
    : field(name, testid, isNumber(option) ? 6 : 24, isNumber(option) ? NUMBER : {});
  return element("label", { class: "option" }, label, control, about);
}

const NUMBER = { inputmode: "decimal" };

/** @type {(option: Option) => boolean} */
const isNumber = ({ type }) => type === "int" || type === "float";

/**
 * What can be chosen, in words; "none" where the default is nothing.
 * @type {(option: Option) => [value: string, text: string][]}
 */
export function choicesOf({ type, choices = [], default: usual }) {
  const known = type.replace(/^list\[|\]$/g, "");
  /** @type {[string, string][]} */
  const all = choices.map((value) => [value, named(`choice.${known}.${value}`, value)]);
  return usual === null ? [["", t("choice.none")], ...all] : all;
}
