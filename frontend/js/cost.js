/** What a job costs: points, images, and the time that earlier jobs took. Pure. */

import { LIMITS } from "./kinds.js";
import { large } from "./numbers.js";
import { complete, samples } from "./request.js";
import { t } from "./text.js";

/** @import { Dataset, Job, Spec } from "./types.d.ts" */

/**
 * Points of a job's grid, for every seed.
 * @type {(spec: Pick<Spec, "grid" | "repeats">) => number}
 */
const pointsOf = ({ grid, repeats = 1 }) =>
  (grid
    ? Object.values(grid).reduce((product, { count }) => product * count, 1)
    : LIMITS.around ** 2) * repeats;

/**
 * Images per point; null where the data set is not known.
 * @type {(spec: Spec, dataset: Dataset | null) => number | null}
 */
function imagesOf({ split, subset, also }, dataset) {
  const first = subset?.count ?? dataset?.splits[split ?? ""];
  const second = also ? dataset?.splits[also] : 0;
  return first === undefined || second === undefined ? null : first + second;
}

/**
 * The cost of the job in words: 2 601 points × 1 500 images = 3.9 million images through the
 * network.
 * @type {(request: Spec, dataset: Dataset | null) => string}
 */
export function cost(request, dataset) {
  const spec = complete(request);
  const count = imagesOf(spec, dataset);
  const points = t("points", { count: pointsOf(spec) });
  if (count === null) return points;
  const passes = large(pointsOf(spec) * count);
  const key = samples(dataset) === "images" ? "cost.images" : "cost.samples";
  const words = t(key, { points, count, passes });
  return spec.kind === "curvature" ? t("cost.curvature", { cost: words }) : words;
}

/**
 * Estimated duration in seconds, from finished jobs on the same architecture (`label`) and data:
 * the time per point and image of the fastest, since the others waited in the queue or were small.
 * Null where there is no such job.
 * @type {(request: Spec, jobs: Job[], dataset: Dataset | null, label?: string) => number | null}
 */
export function estimate(request, jobs, dataset, label) {
  const spec = complete(request);
  /** @type {(own: Spec) => string | undefined} */
  const center = (own) => own.checkpoint ?? own.epochs?.at(-1);
  /** @type {(own: Spec) => number} */
  const work = (own) => pointsOf(own) * (imagesOf(own, dataset) ?? NaN);
  /** @type {(own: Spec) => boolean} */
  const curved = (own) => own.kind === "curvature";
  /** @type {(job: Job) => boolean} */
  const like = ({ spec: own, checkpoint }) =>
    (center(own) === center(spec) || (label !== undefined && checkpoint?.label === label)) &&
    own.precision === spec.precision &&
    own.dataset === spec.dataset &&
    curved(own) === curved(spec);
  /** @type {(job: Job) => number} */
  const took = ({ started, finished }) =>
    started && finished ? (Date.parse(finished) - Date.parse(started)) / 1000 : NaN;
  const pace = jobs
    .filter((job) => job.state === "done" && like(job))
    .map((job) => took(job) / work(job.spec))
    .filter((own) => own > 0);
  const seconds = Math.min(...pace) * work(spec);
  return Number.isFinite(seconds) && seconds > 0 ? seconds : null;
}

/**
 * "all 1 500"
 * @type {(dataset: Dataset | null, split: string) => string}
 */
export const allImages = (dataset, split) =>
  dataset?.splits[split] === undefined
    ? t("form.all")
    : t("form.allOf", { count: dataset.splits[split] });
