/** The form of a new job in words: labels and cost. Pure. */

import { cost, estimate } from "./cost.js";
import { ago } from "./format.js";
import { duration } from "./numbers.js";
import { t } from "./text.js";

/** @import { Checkpoint, Dataset, Job, ReadyCheckpoint, Spec } from "./types.d.ts" */

/**
 * The name of a data set in a job: the id of an upload, since a later upload may have the same
 * name.
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
 * The label of a checkpoint in the list: its architecture, with its file name where that is not
 * unique.
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
  const words = cost(spec, dataset);
  return seconds
    ? t("cost.time", { cost: words, time: duration(seconds) })
    : t("cost.alone", { cost: words });
}

/** Whether jobs can use a checkpoint: its network is known. */
export const isReady = /** @type {(own: Checkpoint) => own is ReadyCheckpoint} */ (
  ({ architecture }) => architecture !== null
);
