/** The options of a new job that most jobs leave as they are. */

import { element, setText } from "../element.js";
import { directionsWords } from "../jobwords.js";
import { KINDS, isDrawn } from "../request.js";
import { t } from "../text.js";

/**
 * @import { Form, Input, Key } from "../types.d.ts"
 * @import { Fields } from "./formfields.js"
 */

/**
 * @typedef {object} Option
 * @property {Input} name which input it is
 * @property {string} testid its hook for tests
 * @property {[value: string, key: Key | null][]} choices what can be chosen; without a key, the value is its own name
 * @property {(form: Form) => boolean} [shown] whether it can be chosen now; always if not given
 */

/** @type {(form: Form) => boolean} */
const isRepeatable = ({ kind }) => KINDS[kind].repeatable;

/** @type {Option[]} */
const OPTIONS = [
  {
    name: "directions",
    testid: "job-directions",
    shown: isRepeatable,
    choices: [
      ["random", "choice.random"],
      ["gradient", "choice.gradient"],
      ["eigenvectors", "choice.eigenvectors"],
    ],
  },
  {
    name: "normalization",
    testid: "job-normalization",
    shown: isDrawn,
    choices: [
      ["filter", "choice.filter"],
      ["layer", "choice.layer"],
      ["weight", "choice.weight"],
      ["dfilter", null],
      ["dlayer", null],
      ["none", "choice.none"],
    ],
  },
  {
    name: "orthogonality",
    testid: "job-orthogonality",
    shown: isDrawn,
    choices: [
      ["filter", "choice.everyFilter"],
      ["overall", "choice.overall"],
      ["none", "choice.none"],
    ],
  },
  {
    name: "biases",
    testid: "job-biases",
    shown: isDrawn,
    choices: [
      ["fixed", "choice.fixed"],
      ["parameter", "choice.asParameter"],
      ["random", "choice.atRandom"],
    ],
  },
  {
    name: "loss",
    testid: "job-loss",
    choices: [
      ["cross_entropy", "choice.crossEntropy"],
      ["mse", "choice.meanSquares"],
    ],
  },
  {
    name: "batchNorm",
    testid: "job-batch-norm",
    choices: [
      ["frozen", "choice.frozen"],
      ["recalibrated", "choice.recalibrated"],
      ["batch", "choice.batch"],
    ],
  },
  { name: "also", testid: "job-also", choices: [["none", "choice.none"]] },
  {
    name: "precision",
    testid: "job-precision",
    choices: [
      ["float32", null],
      ["float64", null],
      ["bfloat16", null],
    ],
  },
];

/**
 * The options, folded away. `update` shows those that the form can use now.
 * @type {(form: Form, fields: Fields) => { node: HTMLDetailsElement; update(): void }}
 */
export function jobOptions(form, { select, field, checkbox }) {
  const choices = OPTIONS.map(({ name, testid, choices: all, shown = () => true }) => {
    const options = all.map(
      ([value, key]) => /** @type {[string, string]} */ ([value, key ? t(key) : value]),
    );
    return { shown, node: labelled(name, select(name, testid, options)) };
  });
  const beta = element(
    "label",
    { class: "check" },
    checkbox("ownBeta", "job-own-beta"),
    t("input.ownBeta"),
  );
  const repeats = labelled("repeats", field("repeats", "job-repeats", 3));
  const subsetSeed = labelled("subsetSeed", field("subsetSeed", "job-subset-seed", 6));
  const name = field("name", "job-name", 30, {
    placeholder: t("input.nameHint"),
    maxlength: 300,
    spellcheck: null,
  });
  const how = element("p", { class: "soft" });
  const [directions, ...others] = choices.map(({ node }) => node);
  const node = element(
    "details",
    { class: "advanced" },
    element("summary", {}, t("form.more")),
    element(
      "div",
      { class: "choices" },
      beta,
      directions,
      repeats,
      others,
      subsetSeed,
      labelled("name", name, "grow"),
      how,
    ),
  );
  return {
    node,
    update() {
      beta.hidden = !KINDS[form.kind].grid || !KINDS[form.kind].beta;
      repeats.hidden = !isRepeatable(form);
      subsetSeed.hidden = form.images === "all";
      for (const choice of choices) choice.node.hidden = !choice.shown(form);
      setText(how, directionsWords(form));
    },
  };
}

/** @type {(name: Input, control: HTMLElement, style?: string) => HTMLElement} */
const labelled = (name, control, style) =>
  element("label", { class: style }, `${t(`input.${name}`)} `, control);
