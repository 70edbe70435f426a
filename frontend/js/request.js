/**
 * The form of a new job as a JobSpec, as curl and as Python; and its errors, worded as the service words them. Pure.
 */

/** @import { Axis, Dataset, Form, Input, Kind, ReadyCheckpoint, Spec } from "./types.d.ts" */

/**
 * The kinds of jobs: label, whether there is a beta, a grid to choose, random directions, and repeats or other
 * directions.
 * @type {Record<Kind, { beta: boolean; grid: boolean; drawn: boolean;
 *   repeatable: boolean; further?: ("end" | "second" | "third")[] }>}
 */
export const KINDS = {
  surface: { beta: true, grid: true, drawn: true, repeatable: true },
  slice: { beta: false, grid: true, drawn: true, repeatable: true },
  curvature: { beta: true, grid: true, drawn: true, repeatable: false },
  interpolation: {
    beta: false,
    grid: true,
    drawn: false,
    repeatable: false,
    further: ["end"],
  },
  plane: {
    beta: true,
    grid: false,
    drawn: false,
    repeatable: false,
    further: ["second", "third"],
  },
  trajectory: { beta: true, grid: false, drawn: false, repeatable: false },
};

/**
 * Initial values of the form. Numbers are text, as typed.
 * @type {Form}
 */
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

/** @type {Partial<Record<Kind, Partial<typeof SQUARE>>>} */
const GRIDS = {
  curvature: { alphaCount: "11", betaCount: "11" },
  interpolation: { alphaMin: "−0.5", alphaMax: "1.5", alphaCount: "41" },
};

/** @type {(kind: Kind) => typeof SQUARE} */
export const gridDefaults = (kind) => ({ ...SQUARE, ...GRIDS[kind] });

/**
 * The input of the form for each field of the JobSpec: for errors of the service.
 * @type {Record<string, Input>}
 */
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

/**
 * The input of a field, or of the field it is a part of (`epochs.3`); undefined where the form has none.
 * @type {(field: string | null | undefined) => Input | undefined}
 */
export const inputOf = (field) => INPUTS[field ?? ""] ?? INPUTS[(field ?? "").split(".")[0]];

/**
 * The form as a JobSpec; of the optional choices only those that differ from the defaults. Check `problems` first.
 * @type {(form: Form) => Spec}
 */
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

/**
 * Whether the directions are random: only then are they normalized.
 * @type {(form: Pick<Form, "kind" | "directions">) => boolean}
 */
export const isDrawn = ({ kind, directions }) =>
  KINDS[kind].drawn && !(KINDS[kind].repeatable && directions !== "random");

/** @type {(form: Form) => Partial<Spec>} */
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

/** @type {(split: string) => string} */
export const otherSplit = (split) => (split === "train" ? "test" : "train");

/** @type {(form: Form, name: "alpha" | "beta") => Axis} */
export const axis = (form, name) => ({
  min: parsed(form[`${name}Min`]),
  max: parsed(form[`${name}Max`]),
  count: Number(form[`${name}Count`]),
});

/**
 * A number as people type it: a Unicode minus sign and a decimal comma are accepted.
 * @type {(text: string) => number}
 */
const parsed = (text) =>
  text.trim() === "" ? NaN : Number(text.trim().replace("−", "-").replace(",", "."));

/** @type {(a: ReadyCheckpoint, b: ReadyCheckpoint) => boolean} */
export const sameNetwork = (a, b) =>
  JSON.stringify(a.architecture) === JSON.stringify(b.architecture);

/**
 * Checkpoints of the same network as `one`, itself too, in the order of their names: epoch 2 before epoch 10.
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
export function centerOnGrid({ grid }) {
  return Object.values(grid ?? {}).every(({ min, max, count }) =>
    Array.from(
      { length: count },
      (_, i) => (min * (count - 1 - i) + max * i) / (count - 1),
    ).includes(0),
  );
}
