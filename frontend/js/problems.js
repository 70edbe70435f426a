/** Errors in the form of a new job, worded as the service words them. Pure. */

import { DEFAULTS, KINDS, alike, axis, samples, otherSplit, sameNetwork } from "./request.js";
import { t } from "./text.js";

/** @import { Dataset, Form, Input, Problems, ReadyCheckpoint } from "./types.d.ts" */

/** @typedef {(place: Input, text: string | null) => unknown} Say */

/** Limits of service/jobs/spec.py and landscape/grid.py. */
const MAX_POINTS = 1_002_001;

const MAX_COUNT = 100_001;

const MAX_RANGE = 1e6;

const MAX_NAME = 200;

const MAX_REPEATS = 64;

const LEAST_EPOCHS = 4;

const AXES = /** @type {const} */ (["alpha", "beta"]);
const BOUNDS = /** @type {const} */ ({
  alpha: ["alphaMin", "alphaMax"],
  beta: ["betaMin", "betaMax"],
});

/**
 * { input: sentence } for every error; empty where the form can be sent. `dataset` as the API lists it, or null.
 * @type {(form: Form, dataset: Dataset | null, checkpoints?: ReadyCheckpoint[]) => Problems}
 */
export function problems(form, dataset, checkpoints = []) {
  /** @type {Problems} */
  const found = {};
  /** @type {Say} */
  const say = (place, text) => text && (found[place] ??= text);
  const { beta, grid, drawn, repeatable } = KINDS[form.kind];
  checkpointProblems(form, checkpoints, say);
  for (const name of grid ? AXES.slice(0, beta ? 2 : 1) : []) {
    const count = /** @type {const} */ (`${name}Count`);
    say(count, countProblem(form[count]));
    if (name === "alpha" || form.ownBeta) rangeProblems(form, name, say);
  }
  if (grid && beta && !found.alphaCount && !found.betaCount) {
    const points = Number(form.alphaCount) * Number(form.betaCount);
    say(
      "alphaCount",
      points > MAX_POINTS
        ? t("problem.points", { points: String(points), most: String(MAX_POINTS) })
        : null,
    );
  }
  if (drawn) say("seed", wholeProblem(form.seed, 0, Number.MAX_SAFE_INTEGER));
  if (form.images !== "all") {
    const most = dataset?.splits[form.split] ?? Number.MAX_SAFE_INTEGER;
    const count = wholeProblem(form.subsetCount, 1, Number.MAX_SAFE_INTEGER);
    say(
      "subsetCount",
      count ?? (Number(form.subsetCount) > most ? tooMany(form, dataset, most) : null),
    );
    say("subsetSeed", wholeProblem(form.subsetSeed, 0, Number.MAX_SAFE_INTEGER));
  }
  if (dataset) dataProblems(form, dataset, say);
  if (repeatable) {
    say("repeats", wholeProblem(form.repeats, 1, MAX_REPEATS));
    say(
      "repeats",
      Number(form.repeats) > 1 && (form.directions !== "random" || form.also !== "none")
        ? t("problem.repeats")
        : null,
    );
  }
  say(
    "name",
    form.name.length > MAX_NAME
      ? t("problem.name", { most: MAX_NAME, length: form.name.length })
      : null,
  );
  return found;
}

/**
 * Every checkpoint is chosen, none twice, and all have the same architecture.
 * @type {(form: Form, checkpoints: ReadyCheckpoint[], say: Say) => void}
 */
function checkpointProblems(form, checkpoints, say) {
  const { further = [] } = KINDS[form.kind];
  const path = form.kind === "trajectory";
  if (path)
    say(
      "epochs",
      form.epochs.length < LEAST_EPOCHS
        ? t("problem.epochs", { least: LEAST_EPOCHS, chosen: form.epochs.length })
        : null,
    );
  else say("checkpoint", form.checkpoint ? null : t("problem.noCheckpoint"));
  const [first, ...others] = path
    ? form.epochs
    : [form.checkpoint, ...further.map((name) => form[name])];
  const known = new Map(checkpoints.map((own) => [own.id, own]));
  others.forEach((id, k) => {
    const place = path ? "epochs" : further[k];
    const [one, center] = [known.get(id), known.get(first)];
    if (!id)
      say(
        place,
        center && alike(center, checkpoints).length <= others.length
          ? t("problem.tooFew", {
              count: others.length + 1,
              present: alike(center, checkpoints).length,
              network: center.architecture.label,
            })
          : t("problem.noCheckpoint"),
      );
    else if (id === first || others.indexOf(id) < k) say(place, t("problem.twice"));
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

/** @type {(form: Form, dataset: Dataset, say: Say) => void} */
function dataProblems(form, dataset, say) {
  /** @type {(split: string) => string | null} */
  const missing = (split) =>
    dataset.splits[split] === undefined
      ? t("problem.split", {
          dataset: dataset.name,
          split,
          splits: Object.keys(dataset.splits).join(", "),
        })
      : null;
  say("split", missing(form.split));
  if (form.also !== "none") say("also", missing(otherSplit(form.split)));
  const own = (dataset.targets ?? "classes") !== "classes" && form.loss !== DEFAULTS.loss;
  say(
    "loss",
    own ? t("problem.loss", { dataset: dataset.name, targets: dataset.targets ?? "" }) : null,
  );
}

/** @type {(text: string) => string | null} */
function countProblem(text) {
  if (/^[+-]?\d+$/.test(text.trim()) && Number(text) < 2)
    return t("problem.axis", { number: String(Number(text)) });
  return wholeProblem(text, 2, MAX_COUNT);
}

/** @type {(text: string, least: number, most: number) => string | null} */
function wholeProblem(text, least, most) {
  if (!/^[+-]?\d+$/.test(text.trim())) return t("problem.notWhole", { input: quoted(text) });
  if (Number(text) < least)
    return t("problem.less", { number: String(Number(text)), least: String(least) });
  return Number(text) > most
    ? t("problem.more", { number: text.trim(), most: String(most) })
    : null;
}

/** @type {(form: Form, name: "alpha" | "beta", say: Say) => void} */
function rangeProblems(form, name, say) {
  const { min, max } = axis(form, name);
  for (const [k, place] of BOUNDS[name].entries()) {
    const value = k ? max : min;
    if (!Number.isFinite(value)) say(place, t("problem.notFinite", { input: quoted(form[place]) }));
    else if (Math.abs(value) > MAX_RANGE)
      say(place, t("problem.outside", { number: String(value), most: String(MAX_RANGE) }));
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
