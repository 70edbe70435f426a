/** Errors in the form of a new job, worded as the service words them. Pure. */

import { plural } from "./format.js";
import { DEFAULTS, KINDS, alike, axis, otherSplit, sameNetwork, samples } from "./request.js";

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
const ENDS = /** @type {const} */ (["Min", "Max"]);

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
        ? `The grid has ${points} points; at most ${MAX_POINTS} are allowed. Use fewer.`
        : null,
    );
  }
  if (drawn) say("seed", wholeProblem(form.seed, 0, Number.MAX_SAFE_INTEGER));
  if (form.images !== "all") {
    const most = dataset?.splits[form.split] ?? Number.MAX_SAFE_INTEGER;
    const count = wholeProblem(form.subsetCount, 1, Number.MAX_SAFE_INTEGER);
    say(
      "subsetCount",
      count ??
        (Number(form.subsetCount) > most
          ? `There are ${most} ${form.split === "train" ? "training" : "test"} ${samples(dataset)}; ${form.subsetCount} is more.`
          : null),
    );
    say("subsetSeed", wholeProblem(form.subsetSeed, 0, Number.MAX_SAFE_INTEGER));
  }
  if (dataset) dataProblems(form, dataset, say);
  if (repeatable) {
    say("repeats", wholeProblem(form.repeats, 1, MAX_REPEATS));
    say(
      "repeats",
      Number(form.repeats) > 1 && (form.directions !== "random" || form.also !== "none")
        ? "repeats above 1 take random directions, one split and one BatchNorm policy."
        : null,
    );
  }
  say(
    "name",
    form.name.length > MAX_NAME
      ? `A name has at most ${MAX_NAME} characters; this one has ${form.name.length}.`
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
        ? `A trajectory needs at least ${LEAST_EPOCHS} checkpoints of one network; ${form.epochs.length} chosen.`
        : null,
    );
  else say("checkpoint", form.checkpoint ? null : "Choose a checkpoint.");
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
          ? `${plural(others.length + 1, "checkpoint")} of one network are needed; the library has ${alike(center, checkpoints).length} of ${center.architecture.label}.`
          : "Choose a checkpoint.",
      );
    else if (id === first || others.indexOf(id) < k)
      say(place, "This checkpoint is already chosen. Choose another.");
    else if (one && center && !sameNetwork(one, center))
      say(
        place,
        `${one.name} is a ${one.architecture.label}, ${center.name} a ${center.architecture.label}. Use checkpoints of one network.`,
      );
  });
}

/** @type {(form: Form, dataset: Dataset, say: Say) => void} */
function dataProblems(form, dataset, say) {
  /** @type {(split: string) => string | null} */
  const missing = (split) =>
    dataset.splits[split] === undefined
      ? `${dataset.name} has no ${split} split. It has: ${Object.keys(dataset.splits).join(", ")}.`
      : null;
  say("split", missing(form.split));
  if (form.also !== "none") say("also", missing(otherSplit(form.split)));
  const own = (dataset.targets ?? "classes") !== "classes" && form.loss !== DEFAULTS.loss;
  say(
    "loss",
    own
      ? `The targets of ${dataset.name} are ${dataset.targets}, which have a loss of their own. Leave cross-entropy.`
      : null,
  );
}

/** @type {(text: string) => string | null} */
function countProblem(text) {
  if (/^[+-]?\d+$/.test(text.trim()) && Number(text) < 2)
    return `An axis needs at least 2 points; got ${Number(text)}.`;
  return wholeProblem(text, 2, MAX_COUNT);
}

/** @type {(text: string, least: number, most: number) => string | null} */
function wholeProblem(text, least, most) {
  if (!/^[+-]?\d+$/.test(text.trim())) return `${quoted(text)} is not a whole number.`;
  if (Number(text) < least) return `${Number(text)} is less than ${least}.`;
  return Number(text) > most ? `${text.trim()} is more than ${most}.` : null;
}

/** @type {(form: Form, name: "alpha" | "beta", say: Say) => void} */
function rangeProblems(form, name, say) {
  const { min, max } = axis(form, name);
  for (const end of ENDS) {
    const place = /** @type {const} */ (`${name}${end}`);
    const value = end === "Min" ? min : max;
    if (!Number.isFinite(value)) say(place, `${quoted(form[place])} is not a finite number.`);
    else if (Math.abs(value) > MAX_RANGE)
      say(place, `${value} is outside [−${MAX_RANGE}, ${MAX_RANGE}].`);
  }
  if (min >= max)
    say(`${name}Min`, `The range [${min}, ${max}] is empty or reversed. Use min < max.`);
}

/** @type {(text: string) => string} */
const quoted = (text) => (text.trim() === "" ? "Nothing" : `“${text.trim()}”`);
