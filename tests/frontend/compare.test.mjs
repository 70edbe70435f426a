import assert from "node:assert/strict";
import { test } from "node:test";
import {
  asShipped,
  centerOf,
  columnsFor,
  commonCaption,
  differences,
  distinctLabels,
  furtherColumns,
  numbersOf,
  ownCaption,
  withError,
} from "../../frontend/js/compare.js";
import { listed } from "../../frontend/js/text.js";
import { resultOf } from "./sample.mjs";

const spec = {
  kind: "surface",
  dataset: "digits",
  split: "train",
  subset: null,
  seed: 0,
  normalization: "filter",
  precision: "float32",
  grid: { alpha: { min: -1, max: 1, count: 9 }, beta: { min: -1, max: 1, count: 5 } },
};
const provenance = { data_sha256: "d1", orthogonal: "within each filter", batch_norm: "frozen" };
const item = (change = {}, facts = {}) => ({
  spec: { ...spec, ...change },
  provenance: { ...provenance, ...facts },
});

test("results with the same choices are comparable", () => {
  assert.deepEqual(differences([item(), item()]), { serious: [], minor: [] });
});

test("results that differ in data, images, normalization or range are not comparable, and the difference is named", () => {
  assert.deepEqual(differences([item(), item({ split: "test" }, { data_sha256: "d2" })]).serious, [
    "images used",
  ]);
  assert.deepEqual(differences([item(), item({}, { data_sha256: "d2" })]).serious, ["data"]);
  assert.deepEqual(
    differences([item(), item({ dataset: "other" }, { data_sha256: "d2" })]).serious,
    ["data set"],
  );
  assert.deepEqual(differences([item(), item({ normalization: "none" })]).serious, [
    "normalization",
  ]);
  assert.deepEqual(differences([item(), item({ batch_norm: "recalibrated" })]).serious, [
    "BatchNorm",
  ]);
  assert.deepEqual(
    differences([item(), item({ grid: { ...spec.grid, beta: { min: -2, max: 1, count: 5 } } })])
      .serious,
    ["range"],
  );
});

test("a different seed, precision or number of points is a minor difference", () => {
  const other = item({
    seed: 1,
    precision: "float64",
    grid: { alpha: { min: -1, max: 1, count: 11 }, beta: spec.grid.beta },
  });
  assert.deepEqual(differences([item(), other]), {
    serious: [],
    minor: ["number of points", "seed", "precision"],
  });
});

test("a result without provenance yet does not count as different", () => {
  assert.deepEqual(differences([item(), { spec, provenance: null }]).serious, []);
});

test("the caption of a comparison is what all captions share; the rest stays with each result", () => {
  const captions = [
    "ResNet-56 · digits · 25 × 25 points · seed 0",
    "ResNet-20 · digits · 9 × 9 points · seed 0",
  ];
  assert.equal(commonCaption(captions), "digits · seed 0");
  assert.equal(ownCaption(captions[1], captions), "ResNet-20 · 9 × 9 points");
  assert.equal(commonCaption([]), "");
});

test("the center comes from the provenance, else from the grid, else it is unknown", () => {
  const result = resultOf((a, b) => 5 + 10 * a + b, { n: 5, m: 3 });
  assert.equal(centerOf(result).loss, 5);
  assert.equal(
    centerOf({
      ...result,
      provenance: { center: { loss: 7, accuracy: 1, on_grid: false, standard_error: 0 } },
    }).loss,
    7,
  );
  assert.equal(centerOf(resultOf((a) => a, { n: 4, m: 3 })).loss, null);
});

test("the numbers of f = 10x + y on 5 × 3 points are those computed by hand", () => {
  const result = resultOf((a, b) => 10 * a + b, { n: 5, m: 3 });
  const values = Object.fromEntries(numbersOf(result).map(({ key, value }) => [key, value]));
  assert.equal(values.least, -12);
  assert.equal(values.most, 12);
  assert.equal(values.center_loss, 0);
  assert.equal(values.non_finite, 0);
});

test("every summary number of the service is one column, with its error", () => {
  const area = {
    name: "area under 0.1",
    value: 0.12345,
    unit: "squared",
    error: 0.0123,
    definition: "…",
  };
  assert.deepEqual(
    furtherColumns([[area], [{ ...area, value: 1 }], []]).map(({ key, unit }) => [key, unit]),
    [["area_under_0.1", "squared"]],
  );
  assert.equal(withError(area), "0.123 ± 0.012");
  assert.equal(withError({ value: 10, error: null }), "10");
  assert.equal(withError({ value: null, error: null }), "–");
});

test("results of the same name are labeled by what differs in their requests", () => {
  const jobs = [
    { name: "net", spec },
    { name: "net", spec: { ...spec, seed: 7 } },
    { name: "other", spec },
  ];
  assert.deepEqual(distinctLabels(jobs), ["net · seed 0", "net · seed 7", "other"]);
});

test("names are listed as in a sentence, and plots are arranged nearly square", () => {
  assert.equal(listed(["a"]), "a");
  assert.equal(listed(["a", "b", "c"]), "a, b and c");
  assert.deepEqual([1, 2, 3, 4, 5, 6, 9, 12].map(columnsFor), [1, 2, 3, 2, 3, 3, 3, 4]);
});

test("a shipped comparison is recognized in any order, and only when it is complete", () => {
  const shipped = { name: "x", cells: [[{ job: "a" }, { job: "b" }]] };
  assert.equal(asShipped(["b", "a"], [shipped]), shipped);
  assert.equal(asShipped(["a"], [shipped]), null);
});
