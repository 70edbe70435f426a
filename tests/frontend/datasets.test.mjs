import assert from "node:assert/strict";
import { test } from "node:test";
import { datasetWords, isData, shapeWords, splitWords } from "../../frontend/js/datasets.js";

test("a file is a data set by its extension, unless its name says that it holds weights", () => {
  for (const name of [
    "a.npz",
    "a.H5",
    "a.hdf5",
    "cifar-10-python.tar.gz",
    "mnist.tar",
    "data_batch_1.bin",
    "test.bin",
    "mnist.zip",
  ])
    assert.equal(isData(name), true, name);
  for (const name of [
    "a.pt",
    "a.pth",
    "a.t7",
    "a.safetensors",
    "a.pt.zip",
    "best.pth.tar",
    "pytorch_model.bin",
    "a",
    "npz",
  ])
    assert.equal(isData(name), false, name);
});

test("a data set is described by what it holds, or by why it was rejected", () => {
  assert.equal(
    datasetWords({ state: "ready", kind: "images", targets: "classes", classes: 10 }),
    "images of 10 classes",
  );
  assert.equal(
    datasetWords({ state: "ready", kind: "vectors", targets: "values", classes: 1 }),
    "vectors with 1 value each",
  );
  assert.equal(
    datasetWords({ state: "ready", kind: "tokens", targets: "tokens", classes: 65 }),
    "language tokens",
  );
  assert.equal(
    datasetWords({ state: "rejected", reason: "It has no labels." }),
    "It has no labels.",
  );
  assert.equal(splitWords({ train: 15, test: 29 }), "15 training and 29 test samples");
  assert.equal(splitWords({}), "");
  assert.equal(
    shapeWords({ shape: [1, 8, 8], normalization: "x", vocabulary: 0 }),
    "1 × 8 × 8 · x",
  );
});
