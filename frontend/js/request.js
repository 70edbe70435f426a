/**
 * The form of a new job as a JobSpec, as curl and as Python; and its errors, worded as the service words them. Pure.
 */

import { large, plural, whole } from "./format.js";

/** Limits of service/jobs/spec.py and landscape/grid.py. */
const MAX_POINTS = 1_002_001;
const MAX_COUNT = 100_001;
const MAX_RANGE = 1e6;
const MAX_NAME = 200;
const MAX_REPEATS = 64;
const LEAST_EPOCHS = 4;
const DEFAULT_POINTS = 625; // of a plane or a trajectory: 25 × 25, on a range that the service chooses

/**
 * The kinds of jobs: label, whether there is a beta, a grid to choose, random directions, and repeats or other
 * directions.
 */
export const KINDS = {
  surface: { label: "Surface", beta: true, grid: true, drawn: true, repeatable: true },
  slice: { label: "Slice", beta: false, grid: true, drawn: true, repeatable: true },
  curvature: { label: "Curvature map", beta: true, grid: true, drawn: true, repeatable: false },
  interpolation: {
    label: "Interpolation",
    beta: false,
    grid: true,
    drawn: false,
    repeatable: false,
    further: ["end"],
  },
  plane: {
    label: "Plane",
    beta: true,
    grid: false,
    drawn: false,
    repeatable: false,
    further: ["second", "third"],
  },
  trajectory: { label: "Trajectory", beta: true, grid: false, drawn: false, repeatable: false },
};

/** Initial values of the form. Numbers are text, as typed. */
export const DEFAULTS = {
  kind: "surface",
  checkpoint: "",
  dataset: "digits",
  split: "train",
  images: "all",
  subsetCount: "1000",
  subsetSeed: "0",
  alphaMin: "−1",
  alphaMax: "1",
  alphaCount: "51",
  ownBeta: false,
  betaMin: "−1",
  betaMax: "1",
  betaCount: "51",
  seed: "0",
  precision: "float32",
  name: "",
  end: "",
  second: "",
  third: "",
  epochs: [],
  loss: "cross_entropy",
  batchNorm: "frozen",
  normalization: "filter",
  orthogonality: "filter",
  biases: "fixed",
  directions: "random",
  repeats: "1",
  also: "none",
};

/** The default grid of a kind. */
const SQUARE = {
  alphaMin: "−1",
  alphaMax: "1",
  alphaCount: "51",
  betaMin: "−1",
  betaMax: "1",
  betaCount: "51",
};
export const gridDefaults = (kind) => ({
  ...SQUARE,
  ...{
    curvature: { alphaCount: "11", betaCount: "11" },
    interpolation: { alphaMin: "−0.5", alphaMax: "1.5", alphaCount: "41" },
  }[kind],
});

/** The input of the form for each field of the JobSpec: for errors of the service. */
export const INPUTS = {
  checkpoint: "checkpoint",
  dataset: "dataset",
  split: "split",
  "subset.count": "subsetCount",
  "subset.seed": "subsetSeed",
  subset: "subsetCount",
  seed: "seed",
  precision: "precision",
  name: "name",
  grid: "alphaCount",
  "grid.alpha": "alphaMin",
  "grid.alpha.min": "alphaMin",
  "grid.alpha.max": "alphaMax",
  "grid.alpha.count": "alphaCount",
  "grid.beta": "betaMin",
  "grid.beta.min": "betaMin",
  "grid.beta.max": "betaMax",
  "grid.beta.count": "betaCount",
  kind: "kind",
  end: "end",
  second: "second",
  third: "third",
  epochs: "epochs",
  loss: "loss",
  batch_norm: "batchNorm",
  normalization: "normalization",
  orthogonality: "orthogonality",
  biases: "biases",
  directions: "directions",
  repeats: "repeats",
  also: "also",
};

/** The input of a field, or of the field it is a part of (`epochs.3`); undefined where the form has none. */
export const inputOf = (field) => INPUTS[field] ?? INPUTS[String(field ?? "").split(".")[0]];

/** The form as a JobSpec; of the optional choices only those that differ from the defaults. Check `problems` first. */
export function jobSpec(form) {
  const { beta, grid, drawn, further = [] } = KINDS[form.kind];
  const alpha = axis(form, "alpha");
  const own = form.ownBeta ? axis(form, "beta") : { ...alpha, count: Number(form.betaCount) };
  return {
    kind: form.kind,
    ...(form.kind === "trajectory"
      ? { epochs: [...form.epochs] }
      : { checkpoint: form.checkpoint }),
    ...Object.fromEntries(further.map((name) => [name, form[name]])),
    dataset: form.dataset,
    split: form.split,
    subset:
      form.images === "all"
        ? null
        : { count: Number(form.subsetCount), seed: Number(form.subsetSeed) },
    ...(grid ? { grid: beta ? { alpha, beta: own } : { alpha } } : {}),
    ...(drawn
      ? { seed: Number(form.seed), normalization: isDrawn(form) ? form.normalization : "filter" }
      : {}),
    ...furtherChoices(form),
    precision: form.precision,
    name: form.name.trim() || null,
  };
}

/** Whether the directions are random: only then are they normalized. */
export const isDrawn = ({ kind, directions }) =>
  KINDS[kind].drawn && !(KINDS[kind].repeatable && directions !== "random");

function furtherChoices(form) {
  const { repeatable } = KINDS[form.kind];
  const all = {
    also: form.also !== "none" && otherSplit(form.split),
    loss: form.loss !== DEFAULTS.loss && form.loss,
    batch_norm: form.batchNorm !== DEFAULTS.batchNorm && form.batchNorm,
    orthogonality:
      isDrawn(form) && form.orthogonality !== DEFAULTS.orthogonality && form.orthogonality,
    biases: isDrawn(form) && form.biases !== DEFAULTS.biases && form.biases,
    directions: repeatable && form.directions !== DEFAULTS.directions && form.directions,
    repeats: repeatable && Number(form.repeats) !== 1 && Number(form.repeats),
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== false));
}

export const otherSplit = (split) => (split === "train" ? "test" : "train");

const axis = (form, name) => ({
  min: parsed(form[`${name}Min`]),
  max: parsed(form[`${name}Max`]),
  count: Number(form[`${name}Count`]),
});

/** A number as people type it: a Unicode minus sign and a decimal comma are accepted. */
const parsed = (text) =>
  text.trim() === "" ? NaN : Number(text.trim().replace("−", "-").replace(",", "."));

/** { input: sentence } for every error; empty where the form can be sent. `dataset` as the API lists it, or null. */
export function problems(form, dataset, checkpoints = []) {
  const found = {};
  const say = (place, text) => text && (found[place] ??= text);
  const { beta, grid, drawn, repeatable } = KINDS[form.kind];
  checkpointProblems(form, checkpoints, say);
  for (const name of grid ? (beta ? ["alpha", "beta"] : ["alpha"]) : []) {
    say(`${name}Count`, countProblem(form[`${name}Count`]));
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

/** Every checkpoint is chosen, none twice, and all have the same architecture. */
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

function dataProblems(form, dataset, say) {
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

const sameNetwork = (a, b) => JSON.stringify(a.architecture) === JSON.stringify(b.architecture);

/** Checkpoints of the same network as `one`, itself too, in the order of their names: epoch 2 before epoch 10. */
export const alike = (one, checkpoints) =>
  checkpoints
    .filter((own) => sameNetwork(own, one))
    .sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));

/** The word for the samples of a data set: images, or samples of something else. */
export const samples = (dataset) =>
  (dataset?.kind ?? "images") === "images" ? "images" : "samples";

function countProblem(text) {
  if (/^[+-]?\d+$/.test(text.trim()) && Number(text) < 2)
    return `An axis needs at least 2 points; got ${Number(text)}.`;
  return wholeProblem(text, 2, MAX_COUNT);
}

function wholeProblem(text, least, most) {
  if (!/^[+-]?\d+$/.test(text.trim())) return `${quoted(text)} is not a whole number.`;
  if (Number(text) < least) return `${Number(text)} is less than ${least}.`;
  return Number(text) > most ? `${text.trim()} is more than ${most}.` : null;
}

function rangeProblems(form, name, say) {
  const { min, max } = axis(form, name);
  for (const [end, value] of [
    ["Min", min],
    ["Max", max],
  ]) {
    if (!Number.isFinite(value))
      say(`${name}${end}`, `${quoted(form[name + end])} is not a finite number.`);
    else if (Math.abs(value) > MAX_RANGE)
      say(`${name}${end}`, `${value} is outside [−${MAX_RANGE}, ${MAX_RANGE}].`);
  }
  if (min >= max)
    say(`${name}Min`, `The range [${min}, ${max}] is empty or reversed. Use min < max.`);
}

const quoted = (text) => (text.trim() === "" ? "Nothing" : `“${text.trim()}”`);

/** Whether (0, 0) is a point of the grid; where it is not, the service evaluates it separately. */
export function centerOnGrid({ grid }) {
  return Object.values(grid ?? {}).every(({ min, max, count }) =>
    Array.from(
      { length: count },
      (_, i) => (min * (count - 1 - i) + max * i) / (count - 1),
    ).includes(0),
  );
}

/** Points of a job's grid, for every seed. */
const pointsOf = ({ grid, repeats = 1 }) =>
  (grid ? Object.values(grid).reduce((product, { count }) => product * count, 1) : DEFAULT_POINTS) *
  repeats;

/** Images per point; null where the data set is not known. */
function imagesOf({ split, subset, also }, dataset) {
  const first = subset?.count ?? dataset?.splits[split];
  const second = also ? dataset?.splits[also] : 0;
  return first === undefined || second === undefined ? null : first + second;
}

/** The cost of the job in words: 2 601 points × 1 500 images = 3.9 million images through the network. */
export function cost(spec, dataset) {
  const [points, images] = [pointsOf(spec), imagesOf(spec, dataset)];
  if (images === null) return plural(points, "point");
  const times = spec.kind === "curvature" ? ", hundreds of times" : "";
  return `${plural(points, "point")} × ${plural(images, samples(dataset).slice(0, -1))} = ${large(points * images)} ${samples(dataset)} through the network${times}`;
}

/**
 * Estimated duration in seconds, from finished jobs on the same architecture (`label`) and data: the time per point and
 * image of the fastest, since the others waited in the queue or were small. Null where there is no such job.
 */
export function estimate(spec, jobs, dataset, label) {
  const center = (own) => own.checkpoint ?? own.epochs?.at(-1);
  const work = (own) => pointsOf(own) * (imagesOf(own, dataset) ?? NaN);
  const curved = (own) => own.kind === "curvature";
  const like = ({ spec: own, checkpoint }) =>
    (center(own) === center(spec) || (label && checkpoint?.label === label)) &&
    own.precision === spec.precision &&
    own.dataset === spec.dataset &&
    curved(own) === curved(spec);
  const known = jobs.filter(
    (job) => job.state === "done" && job.started && job.finished && like(job),
  );
  const pace = known
    .map((job) => (Date.parse(job.finished) - Date.parse(job.started)) / 1000 / work(job.spec))
    .filter((own) => own > 0);
  const seconds = Math.min(...pace) * work(spec);
  return Number.isFinite(seconds) && seconds > 0 ? seconds : null;
}

/** The request for a shell. */
export function asCurl(spec, origin) {
  const body = literal(spec, JSON_WORDS).replaceAll("'", "'\\''");
  return `curl -X POST ${origin}/api/v1/jobs \\\n  -H 'Content-Type: application/json' \\\n  -d '${body}'`;
}

/** The request for a notebook: the standard library is enough. */
export function asPython(spec, origin) {
  return `import json, urllib.request

service = "${origin}"
spec = ${literal(spec, PYTHON_WORDS)}
request = urllib.request.Request(f"{service}/api/v1/jobs", json.dumps(spec).encode(), {"Content-Type": "application/json"})
job = json.load(urllib.request.urlopen(request))["id"]
# when it is done (while it runs, what is not computed yet is None)
result = json.load(urllib.request.urlopen(f"{service}/api/v1/jobs/{job}/result"))
result["losses"]  # losses[i][j] belongs to (alphas[i], betas[j])`;
}

const JSON_WORDS = { null: "null", true: "true", false: "false", last: "" };
const PYTHON_WORDS = { null: "None", true: "True", false: "False", last: "," };

/** JSON, or the same as Python writes it; small objects on a line. Strings are JSON strings, which Python reads the same. */
function literal(value, words, indent = "") {
  if (value === null || typeof value === "boolean") return words[value];
  if (typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value))
    return `[${value.map((own) => literal(own, words, indent)).join(", ")}]`;
  const inner = `${indent}  `;
  const entries = Object.entries(value).map(
    ([key, own]) => `"${key}": ${literal(own, words, inner)}`,
  );
  if (indent && Object.values(value).every((own) => own === null || typeof own !== "object"))
    return `{${entries.join(", ")}}`;
  return `{\n${inner}${entries.join(`,\n${inner}`)}${words.last}\n${indent}}`;
}

/** "all 1 500" */
export const allImages = (dataset, split) =>
  dataset?.splits[split] !== undefined ? `all ${whole(dataset.splits[split])}` : "all";
