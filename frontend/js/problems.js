/** Errors in the form of a new job, worded as the service words them. Pure. */

import { LIMITS } from "./kinds.js";
import {
  alike,
  axis,
  definitionOf,
  furtherRoles,
  inputValue,
  isEmptyNumber,
  numberOf,
  samples,
  sameNetwork,
} from "./request.js";
import { listed, named, t } from "./text.js";

/**
 * @import { Bounds, Dataset, Form, Input, Option, Problems, ReadyCheckpoint } from "./types.d.ts"
 */

/** @typedef {(place: Input, text: string | null | false) => unknown} Say */

const AXES = /** @type {const} */ (["alpha", "beta"]);
const BOUNDS = /** @type {const} */ ({
  alpha: ["alphaMin", "alphaMax"],
  beta: ["betaMin", "betaMax"],
});

/**
 * { input: sentence } for every error; empty where the form can be sent. `dataset` as the API lists
 * it, or null.
 * @type {(form: Form, dataset: Dataset | null, checkpoints?: ReadyCheckpoint[]) => Problems}
 */
export function problems(form, dataset, checkpoints = []) {
  /** @type {Problems} */
  const found = {};
  /** @type {Say} */
  const say = (place, text) => text && (found[place] ??= text);
  const { grid, options } = definitionOf(form.kind);
  checkpointProblems(form, checkpoints, say);
  if (grid) gridProblems(form, found, say);
  for (const [name, option] of Object.entries(options)) {
    if (option.type === "Subset") subsetProblems(form, dataset, say);
    else say(name, optionProblem(form[name], option));
    if (option.type === "Split" && dataset) say(name, splitProblem(String(form[name]), dataset));
  }
  if (dataset) say("loss", lossProblem(form, dataset));
  exclusionProblems(form, say);
  return found;
}

/** @type {(form: Form, found: Problems, say: Say) => void} */
function gridProblems(form, found, say) {
  const plane = definitionOf(form.kind).axes === 2;
  for (const name of AXES.slice(0, plane ? 2 : 1)) {
    const count = /** @type {const} */ (`${name}Count`);
    say(count, countProblem(form[count]));
    if (name === "alpha" || form.ownBeta) rangeProblems(form, name, say);
  }
  if (!plane || found.alphaCount || found.betaCount) return;
  const points = Number(form.alphaCount) * Number(form.betaCount);
  const values = { points: String(points), most: String(LIMITS.points) };
  say("alphaCount", points > LIMITS.points && t("problem.points", values));
}

/** @type {(form: Form, dataset: Dataset | null, say: Say) => void} */
function subsetProblems(form, dataset, say) {
  if (form.images === "all") return;
  const most = dataset?.splits[String(form.split)] ?? Infinity;
  say("subsetCount", wholeProblem(form.subsetCount, LIMITS.subset.count));
  say("subsetCount", Number(form.subsetCount) > most && tooMany(form, dataset, most));
  say("subsetSeed", wholeProblem(form.subsetSeed, LIMITS.subset.seed));
}

/**
 * What is wrong with the value of an option, by its definition.
 * @type {(value: Form[string], option: Option) => string | null | false}
 */
function optionProblem(value, option) {
  const { type, longest = Infinity } = option;
  if (Array.isArray(value))
    return value.length > longest && t("problem.chosen", { most: longest, chosen: value.length });
  const text = String(value);
  if (isEmptyNumber(option, text)) return null;
  if (type === "int") return wholeProblem(text, option);
  if (type === "float") return numberProblem(text, option);
  return text.length > longest && t("problem.longest", { most: longest, length: text.length });
}

/** @type {(split: string, dataset: Dataset) => string | false} */
const splitProblem = (split, { name, splits }) =>
  split !== "" &&
  splits[split] === undefined &&
  t("problem.split", { dataset: name, split, splits: Object.keys(splits).join(", ") });

/**
 * Data without classes have a loss of their own: see service/jobs/compatibility.py.
 * @type {(form: Form, dataset: Dataset) => string | false}
 */
function lossProblem({ kind, loss }, { name, targets }) {
  const own = (targets ?? "classes") !== "classes";
  const changed = loss !== definitionOf(kind).options.loss?.default;
  return own && changed && t("problem.loss", { dataset: name, targets: targets ?? "" });
}

/** @type {(form: Form, say: Say) => void} */
function exclusionProblems(form, say) {
  const { excludes, options } = definitionOf(form.kind);
  /** @type {(name: string) => boolean} */
  const isChanged = (name) => {
    const { default: usual } = options[name];
    const value = form[name];
    if (Array.isArray(value)) return value.length > 0;
    const given = inputValue(String(value), options[name]);
    return given !== usual;
  };
  for (const { option, others } of excludes)
    say(
      option,
      isChanged(option) &&
        others.some(isChanged) &&
        named(`exclusion.${form.kind}.${option}`, listed(others)),
    );
}

/**
 * Every checkpoint is chosen, none twice, and all have the same architecture.
 * @type {(form: Form, checkpoints: ReadyCheckpoint[], say: Say) => void}
 */
function checkpointProblems(form, checkpoints, say) {
  const further = furtherRoles(form.kind);
  const many = further.find((role) => role.many);
  if (!many) say("checkpoint", !form.checkpoint && t("problem.noCheckpoint"));
  const chosen = further.flatMap(({ name }) =>
    [form[name]].flat().map((id) => /** @type {[Input, string]} */ ([name, String(id)])),
  );
  if (many) {
    const { name, least } = many;
    const { length } = chosen.filter(([role]) => role === name);
    say(name, length < least && t("problem.epochs", { least, chosen: length }));
  }
  const listed = definitionOf(form.kind).roles[0].many; // the center is in the list
  const all = listed
    ? chosen
    : [/** @type {[Input, string]} */ (["checkpoint", form.checkpoint]), ...chosen];
  const [[, first] = ["", ""], ...others] = all;
  const known = new Map(checkpoints.map((own) => [own.id, own]));
  others.forEach(([place, id], k) => {
    const [one, center] = [known.get(id), known.get(first)];
    if (!id) say(place, missingProblem(center, checkpoints, all.length));
    else if (all.findIndex(([, own]) => own === id) <= k) say(place, t("problem.twice"));
    else if (one && center && !sameNetwork(one, center))
      say(
        place,
        t("problem.networks", {
          first: one.name,
          firstNetwork: one.architecture.label,
          second: center.name,
          secondNetwork: center.architecture.label,
        }),
      );
  });
}

/**
 * @type {(center: ReadyCheckpoint | undefined, checkpoints: ReadyCheckpoint[], count: number) =>
 * string}
 */
function missingProblem(center, checkpoints, count) {
  const present = center ? alike(center, checkpoints).length : count;
  return center && present < count
    ? t("problem.tooFew", { count, present, network: center.architecture.label })
    : t("problem.noCheckpoint");
}

/** @type {(text: string) => string | null} */
function countProblem(text) {
  const { least = 0 } = LIMITS.count;
  if (isWhole(text) && Number(text) < least)
    return t("problem.axis", { least, number: String(Number(text)) });
  return wholeProblem(text, LIMITS.count);
}

/** @type {(text: string) => boolean} */
const isWhole = (text) => /^[+-]?\d+$/.test(text.trim().replace("−", "-"));

/**
 * What is wrong with a whole number; without an upper bound, with one that JavaScript cannot hold.
 * @type {(text: string, bounds: Bounds) => string | null}
 */
function wholeProblem(text, { most = Number.MAX_SAFE_INTEGER, ...bounds }) {
  if (!isWhole(text)) return t("problem.notWhole", { input: quoted(text) });
  return numberProblem(text, { most, ...bounds });
}

/** @type {(text: string, bounds: Bounds) => string | null} */
function numberProblem(text, { least = -Infinity, most = Infinity, below = Infinity }) {
  const value = numberOf(text);
  const number = String(value);
  if (!Number.isFinite(value)) return t("problem.notFinite", { input: quoted(text) });
  if (value < least) return t("problem.less", { number, least: String(least) });
  if (value > most) return t("problem.more", { number: text.trim(), most: String(most) });
  return value >= below ? t("problem.below", { number, below: String(below) }) : null;
}

/** @type {(form: Form, name: "alpha" | "beta", say: Say) => void} */
function rangeProblems(form, name, say) {
  const { min, max } = axis(form, name);
  const { least = -Infinity, most = Infinity } = LIMITS.ends;
  for (const [k, place] of BOUNDS[name].entries()) {
    const value = k ? max : min;
    if (!Number.isFinite(value)) say(place, t("problem.notFinite", { input: quoted(form[place]) }));
    else if (value < least || value > most)
      say(place, t("problem.outside", { number: String(value), most: String(most) }));
  }
  if (min >= max) say(BOUNDS[name][0], t("problem.range", { min: String(min), max: String(max) }));
}

/** @type {(text: string) => string} */
const quoted = (text) =>
  text.trim() === "" ? t("problem.nothing") : t("problem.quoted", { text: text.trim() });

/** @type {(form: Form, dataset: Dataset | null, most: number) => string} */
function tooMany({ split, subsetCount }, dataset, most) {
  const values = { most: String(most), number: subsetCount };
  if (samples(dataset) === "images")
    return t(
      split === "train" ? "problem.tooManyTrainImages" : "problem.tooManyTestImages",
      values,
    );
  return t(
    split === "train" ? "problem.tooManyTrainSamples" : "problem.tooManyTestSamples",
    values,
  );
}
