/**
 * What each kind of job takes.
 *
 * Generated from landscape/kinds/ by `python -m landscape.kinds.generate` (`make kinds`): change those.
 */

/** @import { Definition, Limits } from "./types.d.ts" */

export const KINDS = /** @satisfies {Record<string, Definition>} */ ({
  surface: {
    axes: 2,
    grid: { alpha: { min: -1.0, max: 1.0, count: 51 }, beta: { min: -1.0, max: 1.0, count: 51 } },
    roles: [{ name: "checkpoint", many: false, least: 1 }],
    options: {
      architecture: { type: "str", default: null, longest: 300 },
      dataset: { type: "str", default: "digits", longest: 64 },
      split: { type: "Split", default: "train", choices: ["train", "test"] },
      subset: { type: "Subset", default: null },
      name: { type: "str", default: null, longest: 200 },
      directions: {
        type: "Source",
        default: "random",
        choices: ["random", "gradient", "eigenvectors"],
      },
      seed: { type: "int", default: 0, least: 0 },
      normalization: {
        type: "Normalization",
        default: "filter",
        choices: ["filter", "layer", "weight", "dfilter", "dlayer", "none"],
      },
      biases: { type: "Biases", default: "fixed", choices: ["fixed", "parameter", "random"] },
      orthogonality: {
        type: "Orthogonality",
        default: "filter",
        choices: ["filter", "overall", "none"],
      },
      drawn: { type: "Draw", default: "named", choices: ["named", "authors"] },
      repeats: { type: "int", default: 1, least: 1, most: 64 },
      loss: { type: "LossName", default: "cross_entropy", choices: ["cross_entropy", "mse"] },
      label_smoothing: { type: "float", default: 0.0, least: 0, below: 1 },
      weight_decay: { type: "float", default: 0.0, least: 0, most: 1 },
      batch_norm: {
        type: "BatchNorm",
        default: "frozen",
        choices: ["frozen", "recalibrated", "batch"],
      },
      compare_batch_norm: {
        type: "list[BatchNorm]",
        default: [],
        choices: ["frozen", "recalibrated", "batch"],
        longest: 2,
      },
      calibration: { type: "int", default: 512, least: 2, most: 100000 },
      also: { type: "Split", default: null, choices: ["train", "test"] },
      precision: {
        type: "Precision",
        default: "float32",
        choices: ["float32", "float64", "bfloat16"],
      },
    },
    excludes: [{ option: "repeats", others: ["directions", "also", "compare_batch_norm"] }],
    columns: ["seed_deviations", "lowest_losses", "highest_losses"],
  },
  slice: {
    axes: 1,
    grid: { alpha: { min: -1.0, max: 1.0, count: 51 } },
    roles: [{ name: "checkpoint", many: false, least: 1 }],
    options: {
      architecture: { type: "str", default: null, longest: 300 },
      dataset: { type: "str", default: "digits", longest: 64 },
      split: { type: "Split", default: "train", choices: ["train", "test"] },
      subset: { type: "Subset", default: null },
      name: { type: "str", default: null, longest: 200 },
      directions: {
        type: "Source",
        default: "random",
        choices: ["random", "gradient", "eigenvectors"],
      },
      seed: { type: "int", default: 0, least: 0 },
      normalization: {
        type: "Normalization",
        default: "filter",
        choices: ["filter", "layer", "weight", "dfilter", "dlayer", "none"],
      },
      biases: { type: "Biases", default: "fixed", choices: ["fixed", "parameter", "random"] },
      orthogonality: {
        type: "Orthogonality",
        default: "filter",
        choices: ["filter", "overall", "none"],
      },
      drawn: { type: "Draw", default: "named", choices: ["named", "authors"] },
      repeats: { type: "int", default: 1, least: 1, most: 64 },
      loss: { type: "LossName", default: "cross_entropy", choices: ["cross_entropy", "mse"] },
      label_smoothing: { type: "float", default: 0.0, least: 0, below: 1 },
      weight_decay: { type: "float", default: 0.0, least: 0, most: 1 },
      batch_norm: {
        type: "BatchNorm",
        default: "frozen",
        choices: ["frozen", "recalibrated", "batch"],
      },
      compare_batch_norm: {
        type: "list[BatchNorm]",
        default: [],
        choices: ["frozen", "recalibrated", "batch"],
        longest: 2,
      },
      calibration: { type: "int", default: 512, least: 2, most: 100000 },
      also: { type: "Split", default: null, choices: ["train", "test"] },
      precision: {
        type: "Precision",
        default: "float32",
        choices: ["float32", "float64", "bfloat16"],
      },
    },
    excludes: [{ option: "repeats", others: ["directions", "also", "compare_batch_norm"] }],
    columns: ["seed_deviations", "lowest_losses", "highest_losses"],
  },
  curvature: {
    axes: 2,
    grid: { alpha: { min: -1.0, max: 1.0, count: 11 }, beta: { min: -1.0, max: 1.0, count: 11 } },
    roles: [{ name: "checkpoint", many: false, least: 1 }],
    options: {
      architecture: { type: "str", default: null, longest: 300 },
      dataset: { type: "str", default: "digits", longest: 64 },
      split: { type: "Split", default: "train", choices: ["train", "test"] },
      subset: { type: "Subset", default: null },
      name: { type: "str", default: null, longest: 200 },
      directions: {
        type: "Source",
        default: "random",
        choices: ["random", "gradient", "eigenvectors"],
      },
      seed: { type: "int", default: 0, least: 0 },
      normalization: {
        type: "Normalization",
        default: "filter",
        choices: ["filter", "layer", "weight", "dfilter", "dlayer", "none"],
      },
      biases: { type: "Biases", default: "fixed", choices: ["fixed", "parameter", "random"] },
      orthogonality: {
        type: "Orthogonality",
        default: "filter",
        choices: ["filter", "overall", "none"],
      },
      drawn: { type: "Draw", default: "named", choices: ["named", "authors"] },
      over: { type: "Over", default: "filters", choices: ["filters", "all"] },
      steps: { type: "int", default: 60, least: 4, most: 1000 },
      loss: { type: "LossName", default: "cross_entropy", choices: ["cross_entropy", "mse"] },
      label_smoothing: { type: "float", default: 0.0, least: 0, below: 1 },
      weight_decay: { type: "float", default: 0.0, least: 0, most: 1 },
      batch_norm: {
        type: "BatchNorm",
        default: "frozen",
        choices: ["frozen", "recalibrated", "batch"],
      },
      compare_batch_norm: {
        type: "list[BatchNorm]",
        default: [],
        choices: ["frozen", "recalibrated", "batch"],
        longest: 2,
      },
      calibration: { type: "int", default: 512, least: 2, most: 100000 },
      also: { type: "Split", default: null, choices: ["train", "test"] },
      precision: {
        type: "Precision",
        default: "float32",
        choices: ["float32", "float64", "bfloat16"],
      },
    },
    excludes: [],
    columns: [
      "lambda_min",
      "lambda_max",
      "curvature_ratio",
      "lambda_min_error",
      "lambda_max_error",
    ],
  },
  interpolation: {
    axes: 1,
    grid: { alpha: { min: -0.5, max: 1.5, count: 41 } },
    roles: [
      { name: "checkpoint", many: false, least: 1 },
      { name: "end", many: false, least: 1 },
    ],
    options: {
      architecture: { type: "str", default: null, longest: 300 },
      dataset: { type: "str", default: "digits", longest: 64 },
      split: { type: "Split", default: "train", choices: ["train", "test"] },
      subset: { type: "Subset", default: null },
      name: { type: "str", default: null, longest: 200 },
      loss: { type: "LossName", default: "cross_entropy", choices: ["cross_entropy", "mse"] },
      label_smoothing: { type: "float", default: 0.0, least: 0, below: 1 },
      weight_decay: { type: "float", default: 0.0, least: 0, most: 1 },
      batch_norm: {
        type: "BatchNorm",
        default: "frozen",
        choices: ["frozen", "recalibrated", "batch"],
      },
      compare_batch_norm: {
        type: "list[BatchNorm]",
        default: [],
        choices: ["frozen", "recalibrated", "batch"],
        longest: 2,
      },
      calibration: { type: "int", default: 512, least: 2, most: 100000 },
      also: { type: "Split", default: null, choices: ["train", "test"] },
      precision: {
        type: "Precision",
        default: "float32",
        choices: ["float32", "float64", "bfloat16"],
      },
    },
    excludes: [],
    columns: [],
  },
  plane: {
    axes: 2,
    grid: null,
    roles: [
      { name: "checkpoint", many: false, least: 1 },
      { name: "second", many: false, least: 1 },
      { name: "third", many: false, least: 1 },
    ],
    options: {
      architecture: { type: "str", default: null, longest: 300 },
      dataset: { type: "str", default: "digits", longest: 64 },
      split: { type: "Split", default: "train", choices: ["train", "test"] },
      subset: { type: "Subset", default: null },
      name: { type: "str", default: null, longest: 200 },
      loss: { type: "LossName", default: "cross_entropy", choices: ["cross_entropy", "mse"] },
      label_smoothing: { type: "float", default: 0.0, least: 0, below: 1 },
      weight_decay: { type: "float", default: 0.0, least: 0, most: 1 },
      batch_norm: {
        type: "BatchNorm",
        default: "frozen",
        choices: ["frozen", "recalibrated", "batch"],
      },
      compare_batch_norm: {
        type: "list[BatchNorm]",
        default: [],
        choices: ["frozen", "recalibrated", "batch"],
        longest: 2,
      },
      calibration: { type: "int", default: 512, least: 2, most: 100000 },
      also: { type: "Split", default: null, choices: ["train", "test"] },
      precision: {
        type: "Precision",
        default: "float32",
        choices: ["float32", "float64", "bfloat16"],
      },
    },
    excludes: [],
    columns: [],
  },
  trajectory: {
    axes: 2,
    grid: null,
    roles: [{ name: "epochs", many: true, least: 4 }],
    options: {
      architecture: { type: "str", default: null, longest: 300 },
      dataset: { type: "str", default: "digits", longest: 64 },
      split: { type: "Split", default: "train", choices: ["train", "test"] },
      subset: { type: "Subset", default: null },
      name: { type: "str", default: null, longest: 200 },
      loss: { type: "LossName", default: "cross_entropy", choices: ["cross_entropy", "mse"] },
      label_smoothing: { type: "float", default: 0.0, least: 0, below: 1 },
      weight_decay: { type: "float", default: 0.0, least: 0, most: 1 },
      batch_norm: {
        type: "BatchNorm",
        default: "frozen",
        choices: ["frozen", "recalibrated", "batch"],
      },
      compare_batch_norm: {
        type: "list[BatchNorm]",
        default: [],
        choices: ["frozen", "recalibrated", "batch"],
        longest: 2,
      },
      calibration: { type: "int", default: 512, least: 2, most: 100000 },
      also: { type: "Split", default: null, choices: ["train", "test"] },
      precision: {
        type: "Precision",
        default: "float32",
        choices: ["float32", "float64", "bfloat16"],
      },
    },
    excludes: [],
    columns: [],
  },
});

/** @type {Limits} */
export const LIMITS = {
  points: 1002001,
  ends: { least: -1000000.0, most: 1000000.0 },
  count: { least: 2, most: 100001 },
  around: 25,
  checkpoints: 1000,
  subset: { count: { least: 1 }, seed: { least: 0 } },
};

/** What the page says about them, in English. */
export const WORDS = {
  "kind.surface": "Surface",
  "kind.surface.summary": "The surface L(θ* + αδ + βη) on a grid, as in Li et al. 2018.",
  "role.checkpoint": "Checkpoint",
  "exclusion.surface.repeats":
    "repeats above 1 take random directions, one split and one BatchNorm policy.",
  "option.architecture": "Architecture",
  "option.architecture.help":
    "Label of the architecture, where several fit; the chosen one if omitted.",
  "option.dataset": "Data set",
  "option.dataset.help": "Data set: its name, or the id of an uploaded one.",
  "option.split": "Split",
  "option.split.help": "Split of the data set.",
  "option.subset": "Subset",
  "option.subset.help": "A fixed random subset of the first split; all of it if omitted.",
  "option.name": "Name",
  "option.name.help": "Name of the job on the page.",
  "option.directions": "Directions",
  "option.directions.help":
    "'random'; 'gradient', with two axes and a random second direction; or 'eigenvectors' of the Hessian with the largest |λ|.",
  "option.seed": "Seed of the directions",
  "option.seed.help": "Seed of the directions.",
  "option.normalization": "Normalization",
  "option.normalization.help":
    "Norms of the directions: every filter (the paper's choice), layer or weight as in the network; 1 for every filter ('dfilter') or layer ('dlayer'); or as drawn.",
  "option.biases": "Biases",
  "option.biases.help":
    "Directions of biases and normalization parameters: fixed at zero, as the network's parameter (the authors' code), or random.",
  "option.orthogonality": "Orthogonality",
  "option.orthogonality.help":
    "Make the two directions orthogonal inside every filter, over all parameters together, or not.",
  "option.drawn": "Drawn",
  "option.drawn.help":
    "Draw by name and seed, the same in any process; or in the authors' order from one generator.",
  "option.repeats": "Repeats",
  "option.repeats.help": "Number of seeds, from seed on; above 1, their mean and the spread.",
  "option.loss": "Loss",
  "option.loss.help": "Loss function.",
  "option.label_smoothing": "Label smoothing",
  "option.label_smoothing.help": "Label smoothing of the cross-entropy.",
  "option.weight_decay": "Weight decay",
  "option.weight_decay.help":
    "Adds half of it times the squared norm of all parameters, the term that SGD's weight decay minimizes.",
  "option.batch_norm": "BatchNorm",
  "option.batch_norm.help":
    "Statistics of BatchNorm: the checkpoint's, recalibrated at every point, or of each batch.",
  "option.compare_batch_norm": "Compare BatchNorm policies",
  "option.compare_batch_norm.help":
    "Further BatchNorm policies to compare with, in separate columns.",
  "option.calibration": "Samples to recalibrate on",
  "option.calibration.help": "Number of samples on which BatchNorm is recalibrated.",
  "option.also": "Second split",
  "option.also.help": "A second split, evaluated in the same pass into separate columns.",
  "option.precision": "Precision",
  "option.precision.help":
    "Floating-point precision; bfloat16 is audited against float32, float64 is slow and exact.",
  "kind.slice": "Slice",
  "kind.slice.summary": "The slice L(θ* + αδ) on a line.",
  "exclusion.slice.repeats":
    "repeats above 1 take random directions, one split and one BatchNorm policy.",
  "kind.curvature": "Curvature map",
  "kind.curvature.summary":
    "λ_min, λ_max and |λ_min / λ_max| of the Hessian over a grid, and the loss, as in Li et al. 2018.",
  "option.over": "Hessian over",
  "option.over.help": "Parameters the Hessian is taken over: those with filters, or all.",
  "option.steps": "Hessian products",
  "option.steps.help": "Products of the Hessian with a vector, per point at most.",
  "kind.interpolation": "Interpolation",
  "kind.interpolation.summary":
    "L on the line from one checkpoint (α = 0) to another (α = 1), BatchNorm's statistics as well.",
  "role.end": "Checkpoint at the end",
  "kind.plane": "Plane",
  "kind.plane.summary":
    "L on the plane through three checkpoints; coordinates are distances in parameter space.",
  "role.second": "Second checkpoint",
  "role.third": "Third checkpoint",
  "kind.trajectory": "Trajectory",
  "kind.trajectory.summary":
    "The path of a training run in the plane of its two principal components, and the loss around it.",
  "role.epochs": "Checkpoints, in the order of training",
};
