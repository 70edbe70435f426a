/** The form of a new job, and as a JobSpec, for any kind that kinds.js defines. Pure. */

import { KINDS } from "./kinds.js";

/**
 * @import { Axis, Dataset, Definition, Form, Grid, Input, Kind, Option, OptionValue,
 * ReadyCheckpoint,
 *   Spec } from "./types.d.ts"
 */

/** Options that the sentence of the form holds; the others are below "More options". */
export const IN_SENTENCE = ["dataset", "split", "subset", "seed"];

/** @type {(kind: Kind) => Definition} */
export const definitionOf = (kind) => KINDS[kind];

/** @type {() => Kind[]} */
export const kindNames = () => /** @type {Kind[]} */ (Object.keys(KINDS));

/**
 * The options of all kinds, by name.
 * @type {() => Record<string, Option>}
 */
export const allOptions = () =>
  Object.assign({}, ...kindNames().map((kind) => definitionOf(kind).options));

/**
 * The checkpoints of a kind besides its center, which is the input "checkpoint"; of a list, the
 * last is the center.
 * @type {(kind: Kind) => Definition["roles"]}
 */
export const furtherRoles = (kind) =>
  definitionOf(kind).roles.filter(({ many }, k) => many || k > 0);

/**
 * Every input as it is at first: the defaults of all kinds. Numbers are text, as typed.
 * @type {() => Form}
 */
export function initialForm() {
  const [kind] = kindNames();
  const roles = kindNames().flatMap(furtherRoles);
  return {
    kind,
    checkpoint: "",
    images: "all",
    subsetCount: "1000",
    subsetSeed: "0",
    ownBeta: false,
    ...Object.fromEntries(roles.map(({ name, many }) => [name, many ? [] : ""])),
    ...defaultInputs(allOptions()),
    ...gridInputs(kind),
  };
}

/**
 * Inputs of options, with their defaults.
 * @type {(options: Record<string, Option>) => Record<string, string | string[]>}
 */
export function defaultInputs(options) {
  const own = Object.entries(options).filter(([, { type }]) => type !== "Subset");
  return Object.fromEntries(own.map(([name, option]) => [name, typed(option.default)]));
}

/** @type {(value: OptionValue) => string | string[]} */
function typed(value) {
  if (Array.isArray(value)) return [...value];
  return typeof value === "number" ? numberText(value) : (value ?? "");
}

/** @type {(value: number) => string} */
const numberText = (value) => String(value).replace("-", "−");

/** Where a kind has no second axis, or its range is that of its checkpoints. */
const UNUSED = { min: -1, max: 1, count: 51 };

/**
 * Inputs of the grid, with the defaults of a kind.
 * @type {(kind: Kind) => Pick<Form, "alphaMin" | "alphaMax" | "alphaCount" | "betaMin" | "betaMax"
 * | "betaCount">}
 */
export function gridInputs(kind) {
  const { alpha = UNUSED, beta = UNUSED } = definitionOf(kind).grid ?? {};
  return {
    alphaMin: numberText(alpha.min),
    alphaMax: numberText(alpha.max),
    alphaCount: numberText(alpha.count),
    betaMin: numberText(beta.min),
    betaMax: numberText(beta.max),
    betaCount: numberText(beta.count),
  };
}

/**
 * Inputs whose names are not those of their fields in a JobSpec: for errors of the service.
 * @type {Record<string, Input>}
 */
const INPUTS = {
  "subset.count": "subsetCount",
  "subset.seed": "subsetSeed",
  subset: "subsetCount",
  grid: "alphaCount",
  "grid.alpha": "alphaMin",
  "grid.alpha.min": "alphaMin",
  "grid.alpha.max": "alphaMax",
  "grid.alpha.count": "alphaCount",
  "grid.beta": "betaMin",
  "grid.beta.min": "betaMin",
  "grid.beta.max": "betaMax",
  "grid.beta.count": "betaCount",
};

/**
 * The input of a field, or of the field it is a part of (`epochs.3`); undefined where the form has
 * none.
 * @type {(field: string | null | undefined) => Input | undefined}
 */
export function inputOf(field) {
  const [first] = (field ?? "").split(".");
  const center = kindNames().some((kind) => definitionOf(kind).roles[0].name === first);
  const found = INPUTS[field ?? ""] ?? INPUTS[first] ?? first;
  if (found in initialForm()) return found;
  return center ? "checkpoint" : undefined;
}

/**
 * The form as a JobSpec, without what is the default of its kind. Check `problems` first.
 * @type {(form: Form) => Spec}
 */
export function jobSpec(form) {
  const { roles, options, grid } = definitionOf(form.kind);
  const checkpoints = roles.map(({ name, many }, k) => [
    name,
    k || many ? form[name] : form.checkpoint,
  ]);
  const values = Object.entries(options).map(([name, option]) => [
    name,
    valueOf(form, name, option),
  ]);
  const chosen = values.filter(([name, value]) => !isSame(value, options[String(name)].default));
  const own = grid && gridOf(form);
  return {
    kind: form.kind,
    ...Object.fromEntries(checkpoints),
    ...(own && !isSame(own, grid) ? { grid: own } : {}),
    ...Object.fromEntries(chosen),
  };
}

/**
 * A JobSpec with every option and the grid of its kind: what is left out has its default.
 * @type {(spec: Spec) => Spec}
 */
export function complete(spec) {
  const { options, grid } = definitionOf(spec.kind);
  const defaults = Object.entries(options).map(([name, option]) => [name, option.default]);
  return { ...Object.fromEntries(defaults), ...(grid ? { grid } : {}), ...spec };
}

/** @type {(a: unknown, b: unknown) => boolean} */
const isSame = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** @type {(form: Form, name: string, option: Option) => unknown} */
function valueOf(form, name, option) {
  if (option.type === "Subset")
    return form.images === "all"
      ? null
      : { count: Number(form.subsetCount), seed: Number(form.subsetSeed) };
  const input = form[name];
  if (Array.isArray(input)) return input;
  return inputValue(String(input).trim(), option);
}

/**
 * Whether a number is left out where the default is none.
 * @type {(option: Option, text: string) => boolean}
 */
export const isEmptyNumber = (option, text) => option.default === null && !text.trim();

/**
 * The value of an option as it is typed; null if nothing is.
 * @type {(text: string, option: Option) => string | number | null}
 */
export function inputValue(text, option) {
  const { type } = option;
  const number = (type === "int" || type === "float") && !isEmptyNumber(option, text);
  return number ? numberOf(text) : text || null;
}

/** @type {(form: Form) => Grid} */
function gridOf(form) {
  const alpha = axis(form, "alpha");
  if (definitionOf(form.kind).axes === 1) return { alpha };
  const { min, max } = form.ownBeta ? axis(form, "beta") : alpha;
  return { alpha, beta: { min, max, count: Number(form.betaCount) } };
}

/** @type {(form: Form, name: "alpha" | "beta") => Axis} */
export const axis = (form, name) => ({
  min: numberOf(form[`${name}Min`]),
  max: numberOf(form[`${name}Max`]),
  count: Number(form[`${name}Count`]),
});

/**
 * A number as people type it: a Unicode minus sign and a decimal comma are accepted.
 * @type {(text: string) => number}
 */
export const numberOf = (text) =>
  text.trim() === "" ? NaN : Number(text.trim().replace("−", "-").replace(",", "."));

/** @type {(a: ReadyCheckpoint, b: ReadyCheckpoint) => boolean} */
export const sameNetwork = (a, b) =>
  JSON.stringify(a.architecture) === JSON.stringify(b.architecture);

/**
 * Checkpoints of the same network as `one`, itself too, in the order of their names: epoch 2 before
 * epoch 10.
 * @type {(one: ReadyCheckpoint, checkpoints: ReadyCheckpoint[]) => ReadyCheckpoint[]}
 */
export const alike = (one, checkpoints) =>
  checkpoints
    .filter((own) => sameNetwork(own, one))
    .sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));

/**
 * The word for the samples of a data set: images, or samples of something else.
 * @type {(dataset: Dataset | null) => "images" | "samples"}
 */
export const samples = (dataset) =>
  (dataset?.kind ?? "images") === "images" ? "images" : "samples";

/**
 * Whether (0, 0) is a point of the grid; where it is not, the service evaluates it separately.
 * @type {(spec: Spec) => boolean}
 */
export function centerOnGrid(spec) {
  const { grid } = complete(spec);
  return Object.values(grid ?? {}).every(({ min, max, count }) =>
    Array.from(
      { length: count },
      (_, i) => (min * (count - 1 - i) + max * i) / (count - 1),
    ).includes(0),
  );
}
