/** The form of a new job in words: labels, directions, cost. Pure. */

import { ago, duration } from "./format.js";
import { KINDS, isDrawn } from "./request.js";
import { cost, estimate } from "./cost.js";

/** @import { Checkpoint, Dataset, Form, Job, ReadyCheckpoint, Spec } from "./types.d.ts" */

/**
 * The name of a data set in a job: the id of an upload, since a later upload may have the same name.
 * @type {(dataset: Pick<Dataset, "id" | "name">) => string}
 */
export const keyOf = ({ id, name }) => id ?? name;

/**
 * The label of a data set, with its age where several uploads have the same name.
 * @type {(own: Dataset, all: Dataset[]) => string}
 */
export function dataName(own, all) {
  const alone = all.filter(({ name }) => name === own.name).length === 1;
  return alone || !own.created ? own.name : `${own.name} (${ago(own.created, Date.now())})`;
}

/**
 * The directions and BatchNorm policy, in a sentence or two.
 * @type {(form: Form) => string}
 */
export function directionsWords(form) {
  const { kind, directions, normalization, orthogonality, batchNorm } = form;
  const source = {
    gradient: "The directions follow the gradient of the loss.",
    eigenvectors: "The directions are eigenvectors of the Hessian.",
  }[directions];
  const scaled = normalization === "none" ? "not normalized" : `${normalization}-normalized`;
  const apart = {
    filter: " and orthogonal in every filter",
    overall: " and orthogonal overall",
    none: "",
  }[orthogonality];
  const how = !KINDS[kind].drawn
    ? "The directions connect the checkpoints."
    : isDrawn(form)
      ? `Directions are random, ${scaled}${kind === "slice" ? "" : apart}.`
      : source;
  const statistics = {
    frozen: `BatchNorm statistics ${kind === "interpolation" ? "are interpolated" : "stay frozen"}`,
    recalibrated: "BatchNorm statistics are recomputed at every point",
    batch: "BatchNorm uses the statistics of each batch",
  }[batchNorm];
  return `${how} ${statistics}; the model is not changed.`;
}

/**
 * The label of a checkpoint in the list: its architecture, with its file name where that is not unique.
 * @type {(own: ReadyCheckpoint, all: ReadyCheckpoint[]) => string}
 */
export function nameOf(own, all) {
  const twins = all.filter(({ architecture }) => architecture.label === own.architecture.label);
  return twins.length > 1 ? `${own.architecture.label} (${own.name})` : own.architecture.label;
}

/**
 * Cost and, where it can be estimated, duration of a job.
 * @type {(spec: Spec, dataset: Dataset | null, jobs: Job[], label?: string) => string}
 */
export function costWords(spec, dataset, jobs, label) {
  const seconds = estimate(spec, jobs, dataset, label);
  const time = seconds
    ? `; about ${duration(seconds)}, estimated from an earlier job on this network`
    : "";
  return `${cost(spec, dataset)}${time}.`;
}

/** Whether jobs can use a checkpoint: its network is known. */
export const isReady = /** @type {(own: Checkpoint) => own is ReadyCheckpoint} */ (
  ({ architecture }) => architecture !== null
);
