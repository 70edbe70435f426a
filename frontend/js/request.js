/** The sentence of a new job as a JobSpec, as curl and as Python; and what is wrong with it, in the service's words. Pure. */

import { large, plural, whole } from "./format.js";

/** Limits of worker/spec.py and landscape/grid.py. */
const MAX_POINTS = 1_002_001;
const MAX_COUNT = 100_001;
const MAX_RANGE = 1e6;
const MAX_NAME = 200;

/** What the form begins with. Numbers are the texts people typed. */
export const DEFAULTS = {
  kind: "surface", checkpoint: "", dataset: "digits", split: "train", images: "all", subsetCount: "1000", subsetSeed: "0",
  alphaMin: "−1", alphaMax: "1", alphaCount: "51", ownBeta: false, betaMin: "−1", betaMax: "1", betaCount: "51", seed: "0", precision: "float32", name: "",
};

/** Which place of the form a field of the JobSpec is: for errors of the service. */
export const PLACES = {
  checkpoint: "checkpoint", dataset: "dataset", split: "split", "subset.count": "subsetCount", "subset.seed": "subsetSeed", subset: "subsetCount", seed: "seed", precision: "precision", name: "name",
  grid: "alphaCount", "grid.alpha": "alphaMin", "grid.alpha.min": "alphaMin", "grid.alpha.max": "alphaMax", "grid.alpha.count": "alphaCount",
  "grid.beta": "betaMin", "grid.beta.min": "betaMin", "grid.beta.max": "betaMax", "grid.beta.count": "betaCount",
};

/** The form as a JobSpec. Ask `problems` first. */
export function jobSpec(form) {
  const alpha = axis(form, "alpha");
  const beta = form.ownBeta ? axis(form, "beta") : { ...alpha, count: Number(form.betaCount) };
  return {
    kind: form.kind, checkpoint: form.checkpoint, dataset: form.dataset, split: form.split,
    subset: form.images === "all" ? null : { count: Number(form.subsetCount), seed: Number(form.subsetSeed) },
    grid: form.kind === "slice" ? { alpha } : { alpha, beta },
    seed: Number(form.seed), normalization: "filter", precision: form.precision, name: form.name.trim() || null,
  };
}

const axis = (form, name) => ({ min: parsed(form[`${name}Min`]), max: parsed(form[`${name}Max`]), count: Number(form[`${name}Count`]) });

/** What people type for a number: a true minus sign and a comma are understood. */
const parsed = (text) => (text.trim() === "" ? NaN : Number(text.trim().replace("−", "-").replace(",", ".")));

/** { place: sentence } for everything that is wrong; empty where the form can be sent. `dataset` as the API lists it, or null. */
export function problems(form, dataset) {
  const found = {};
  const say = (place, text) => text && (found[place] ??= text);
  say("checkpoint", form.checkpoint ? null : "Choose a checkpoint.");
  const axes = form.kind === "slice" ? ["alpha"] : ["alpha", "beta"];
  for (const name of axes) {
    say(`${name}Count`, countProblem(form[`${name}Count`]));
    if (name === "alpha" || form.ownBeta) rangeProblems(form, name, say);
  }
  if (form.kind === "surface" && !found.alphaCount && !found.betaCount) {
    const points = Number(form.alphaCount) * Number(form.betaCount);
    say("alphaCount", points > MAX_POINTS ? `The grid has ${points} points; at most ${MAX_POINTS} are allowed. Use fewer.` : null);
  }
  say("seed", wholeProblem(form.seed, 0, Number.MAX_SAFE_INTEGER));
  if (form.images !== "all") {
    const most = dataset?.splits[form.split] ?? Number.MAX_SAFE_INTEGER;
    const count = wholeProblem(form.subsetCount, 1, Number.MAX_SAFE_INTEGER);
    say("subsetCount", count ?? (Number(form.subsetCount) > most ? `There are ${most} ${form.split === "train" ? "training" : "test"} images; ${form.subsetCount} is more.` : null));
    say("subsetSeed", wholeProblem(form.subsetSeed, 0, Number.MAX_SAFE_INTEGER));
  }
  say("name", form.name.length > MAX_NAME ? `A name has at most ${MAX_NAME} characters; this one has ${form.name.length}.` : null);
  return found;
}

function countProblem(text) {
  if (/^[+-]?\d+$/.test(text.trim()) && Number(text) < 2) return `An axis needs at least 2 points; got ${Number(text)}.`;
  return wholeProblem(text, 2, MAX_COUNT);
}

function wholeProblem(text, least, most) {
  if (!/^[+-]?\d+$/.test(text.trim())) return `${quoted(text)} is not a whole number.`;
  if (Number(text) < least) return `${Number(text)} is less than ${least}.`;
  return Number(text) > most ? `${text.trim()} is more than ${most}.` : null;
}

function rangeProblems(form, name, say) {
  const { min, max } = axis(form, name);
  for (const [end, value] of [["Min", min], ["Max", max]]) {
    if (!Number.isFinite(value)) say(`${name}${end}`, `${quoted(form[name + end])} is not a finite number.`);
    else if (Math.abs(value) > MAX_RANGE) say(`${name}${end}`, `${value} is outside [−${MAX_RANGE}, ${MAX_RANGE}].`);
  }
  if (min >= max) say(`${name}Min`, `The range [${min}, ${max}] is empty or reversed. Use min < max.`);
}

const quoted = (text) => (text.trim() === "" ? "Nothing" : `“${text.trim()}”`);

/** Whether (0, 0) is a point of the grid; where not, the service evaluates it besides. */
export function centerOnGrid({ grid }) {
  return Object.values(grid).every(({ min, max, count }) =>
    Array.from({ length: count }, (_, i) => (min * (count - 1 - i) + max * i) / (count - 1)).includes(0),
  );
}

/** What the job costs, in words: 2 601 points × 1 500 images = 3.9 million images through the network. */
export function cost(spec, dataset) {
  const points = Object.values(spec.grid).reduce((product, { count }) => product * count, 1);
  const images = spec.subset?.count ?? dataset?.splits[spec.split] ?? null;
  if (images === null) return plural(points, "point");
  return `${plural(points, "point")} × ${plural(images, "image")} = ${large(points * images)} images through the network`;
}

/**
 * How long it may take in seconds, from finished jobs on the same checkpoint (else the same kind of network): the time they took for
 * each point and image. Null where there is nothing to go by.
 */
export function estimate(spec, jobs, dataset) {
  const images = (own) => own.subset?.count ?? dataset?.splits[own.split] ?? NaN;
  const work = (own) => Object.values(own.grid).reduce((product, { count }) => product * count, images(own));
  const alike = jobs.find((job) => job.state === "done" && job.started && job.finished && job.spec.checkpoint === spec.checkpoint && job.spec.precision === spec.precision);
  if (!alike) return null;
  const seconds = ((Date.parse(alike.finished) - Date.parse(alike.started)) / 1000 / work(alike.spec)) * work(spec);
  return Number.isFinite(seconds) && seconds > 0 ? seconds : null;
}

/** The request for a shell. */
export function asCurl(spec, origin) {
  const body = literal(spec, JSON_WORDS).replaceAll("'", "'\\''");
  return `curl -X POST ${origin}/api/jobs \\\n  -H 'Content-Type: application/json' \\\n  -d '${body}'`;
}

/** The request for a notebook: the standard library is enough. */
export function asPython(spec, origin) {
  return `import json, urllib.request

service = "${origin}"
spec = ${literal(spec, PYTHON_WORDS)}
request = urllib.request.Request(f"{service}/api/jobs", json.dumps(spec).encode(), {"Content-Type": "application/json"})
job = json.load(urllib.request.urlopen(request))["id"]
# when it is done (or while it runs: what is not computed is None)
result = json.load(urllib.request.urlopen(f"{service}/api/jobs/{job}/result"))
result["losses"]  # losses[i][j] belongs to (alphas[i], betas[j])`;
}

const JSON_WORDS = { null: "null", true: "true", false: "false", last: "" };
const PYTHON_WORDS = { null: "None", true: "True", false: "False", last: "," };

/** JSON, or the same as Python writes it; small objects on a line. Strings are JSON strings, which Python reads the same. */
function literal(value, words, indent = "") {
  if (value === null || typeof value === "boolean") return words[value];
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}  `;
  const entries = Object.entries(value).map(([key, own]) => `"${key}": ${literal(own, words, inner)}`);
  if (indent && Object.values(value).every((own) => own === null || typeof own !== "object")) return `{${entries.join(", ")}}`;
  return `{\n${inner}${entries.join(`,\n${inner}`)}${words.last}\n${indent}}`;
}

/** "all 1 500" */
export const allImages = (dataset, split) => (dataset ? `all ${whole(dataset.splits[split])}` : "all");

