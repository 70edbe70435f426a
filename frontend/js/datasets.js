/** Files and data sets in words. Pure. */

import { plural, whole } from "./format.js";

/** @import { Dataset } from "./types.d.ts" */

const WEIGHTS = /\.(pt|pth|t7|safetensors)(\.|$)/i;
const DATA = /\.(npz|h5|hdf5|gz|tar|zip)$|^(data_batch_\d|test_batch|train|test)\.bin$/i;

/**
 * Whether a file of this name is uploaded as a data set; the others, model.pth.tar too, are checkpoints.
 * @type {(name: string) => boolean}
 */
export const isData = (name) => DATA.test(name) && !WEIGHTS.test(name);

/**
 * What a data set holds, its progress, or the reason why it was rejected.
 * @type {(dataset: Pick<Dataset, "state" | "reason" | "kind" | "targets" | "classes">) => string}
 */
export function datasetWords({ state, reason, kind, targets, classes }) {
  if (state === "rejected") return reason ?? "";
  if (state !== "ready") return state === "reading" ? "reading…" : "uploaded, waiting to be read";
  if (kind === "tokens") return "language tokens";
  const what = kind === "images" || kind === "vectors" ? kind : "samples";
  return targets === "values"
    ? `${what} with ${plural(classes, "value")} each`
    : `${what} of ${classes} classes`;
}

/**
 * 1 500 training and 297 test samples
 * @type {(splits: Record<string, number>) => string}
 */
export function splitWords(splits) {
  const parts = Object.entries(splits).map(
    ([name, count]) => `${whole(count)} ${name === "train" ? "training" : name}`,
  );
  return parts.length ? `${parts.join(" and ")} samples` : "";
}

/**
 * The shape of one sample and its normalization: 1 × 8 × 8 · (pixel / 16 − mean) / std
 * @type {(dataset: Pick<Dataset, "shape" | "normalization" | "vocabulary">) => string}
 */
export const shapeWords = ({ shape, normalization, vocabulary }) =>
  [shape.map(whole).join(" × "), vocabulary > 0 && `${whole(vocabulary)} tokens`, normalization]
    .filter(Boolean)
    .join(" · ");
