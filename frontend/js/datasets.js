/** Files and data sets in words. Pure. */

import { joined } from "./format.js";
import { whole } from "./numbers.js";
import { listed, t } from "./text.js";

/** @import { Dataset } from "./types.d.ts" */

const WEIGHTS = /\.(pt|pth|t7|safetensors)(\.|$)/i;
const DATA = /\.(npz|h5|hdf5|gz|tar|zip)$|^(data_batch_\d|test_batch|train|test)\.bin$/i;

/**
 * Whether a file of this name is uploaded as a data set; the others, model.pth.tar too, are
 * checkpoints.
 * @type {(name: string) => boolean}
 */
export const isData = (name) => DATA.test(name) && !WEIGHTS.test(name);

/**
 * What a data set holds, its progress, or the reason why it was rejected.
 * @type {(dataset: Pick<Dataset, "state" | "reason" | "kind" | "targets" | "classes">) => string}
 */
export function datasetWords({ state, reason, kind, targets, classes: count }) {
  if (state === "rejected") return reason ?? "";
  if (state !== "ready") return t(`state.${state}`);
  if (kind === "tokens") return t("data.tokens");
  const what = kind === "images" ? "image" : kind === "vectors" ? "vector" : "sample";
  return t(`data.${what}${targets === "values" ? "Values" : "Classes"}`, { count });
}

/**
 * 1 500 training and 297 test samples
 * @type {(splits: Record<string, number>) => string}
 */
export function splitWords(splits) {
  const parts = Object.entries(splits).map(([name, count]) =>
    name === "train" || name === "test"
      ? t(`data.${name}`, { count })
      : t("data.split", { count, name }),
  );
  return parts.length ? t("data.samples", { splits: listed(parts) }) : "";
}

/**
 * The shape of one sample and its normalization: 1 × 8 × 8 · (pixel / 16 − mean) / std
 * @type {(dataset: Pick<Dataset, "shape" | "normalization" | "vocabulary">) => string}
 */
export const shapeWords = ({ shape, normalization, vocabulary }) =>
  joined(
    shape.map(whole).join(" × "),
    vocabulary > 0 && t("tokens", { count: vocabulary }),
    normalization,
  );
