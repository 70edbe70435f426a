import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULTS, asCurl, asPython, centerOnGrid, cost, estimate, jobSpec, problems } from "../../frontend/js/request.js";

const id = "0123456789abcdef";
const dataset = { name: "digits", splits: { train: 1500, test: 297 } };
const form = (change = {}) => ({ ...DEFAULTS, checkpoint: id, ...change });

test("the form as it opens is the default surface of worker/spec.py", () => {
  assert.deepEqual(jobSpec(form()), {
    kind: "surface", checkpoint: id, dataset: "digits", split: "train", subset: null,
    grid: { alpha: { min: -1, max: 1, count: 51 }, beta: { min: -1, max: 1, count: 51 } },
    seed: 0, normalization: "filter", precision: "float32", name: null,
  });
  assert.deepEqual(problems(form(), dataset), {});
});

test("a slice has no beta; a range of its own for beta is used only where asked for", () => {
  assert.deepEqual(jobSpec(form({ kind: "slice" })).grid, { alpha: { min: -1, max: 1, count: 51 } });
  const own = { betaMin: "-0,5", betaMax: "2", betaCount: "7", alphaMax: "3" };
  assert.deepEqual(jobSpec(form(own)).grid.beta, { min: -1, max: 3, count: 7 });
  assert.deepEqual(jobSpec(form({ ...own, ownBeta: true })).grid.beta, { min: -0.5, max: 2, count: 7 });
});

test("what is wrong is said at its place, in the service's words", () => {
  const wrong = (change) => problems(form(change), dataset);
  assert.equal(wrong({ checkpoint: "" }).checkpoint, "Choose a checkpoint.");
  assert.equal(wrong({ alphaCount: "1" }).alphaCount, "An axis needs at least 2 points; got 1.");
  assert.equal(wrong({ alphaCount: "5.5" }).alphaCount, "“5.5” is not a whole number.");
  assert.equal(wrong({ alphaMin: "1", alphaMax: "-1" }).alphaMin, "The range [1, -1] is empty or reversed. Use min < max.");
  assert.equal(wrong({ alphaMin: "NaN" }).alphaMin, "“NaN” is not a finite number.");
  assert.equal(wrong({ alphaMax: "" }).alphaMax, "Nothing is not a finite number.");
  assert.equal(wrong({ alphaCount: "1002", betaCount: "1001" }).alphaCount, "The grid has 1003002 points; at most 1002001 are allowed. Use fewer.");
  assert.deepEqual(wrong({ alphaCount: "1001", betaCount: "1001" }), {});
  assert.equal(wrong({ seed: "-1" }).seed, "-1 is less than 0.");
  assert.equal(wrong({ images: "some", subsetCount: "1501" }).subsetCount, "There are 1500 training images; 1501 is more.");
  assert.equal(wrong({ images: "some", subsetCount: "298", split: "test" }).subsetCount, "There are 297 test images; 298 is more.");
  assert.equal(wrong({ name: "x".repeat(201) }).name, "A name has at most 200 characters; this one has 201.");
});

test("what is hidden cannot be wrong: a slice does not look at beta, all images not at the subset", () => {
  assert.deepEqual(problems(form({ kind: "slice", betaCount: "1", images: "all", subsetCount: "x" }), dataset), {});
});

test("curl carries the very JSON, with quotes that a shell leaves alone", () => {
  const spec = jobSpec(form({ name: "it's <b>", images: "some" }));
  const text = asCurl(spec, "http://127.0.0.1:8000");
  assert.match(text, /^curl -X POST http:\/\/127\.0\.0\.1:8000\/api\/jobs /);
  const body = /-d '([\s\S]*)'$/.exec(text)[1].replaceAll("'\\''", "'");
  assert.deepEqual(JSON.parse(body), spec);
});

test("Python carries the same, in Python's words", () => {
  const spec = jobSpec(form({ name: "a \"b\"" }));
  const text = asPython(spec, "http://127.0.0.1:8000");
  const literal = /spec = (\{[\s\S]*?\n\})/.exec(text)[1];
  assert.deepEqual(JSON.parse(literal.replaceAll("None", "null").replace(/,\n( *)\}/g, "}")), spec);
});

test("the cost is points times images", () => {
  assert.match(cost(jobSpec(form()), dataset).replaceAll("\u202f", ""), /^2601 points × 1500 images = 3.9 million/);
  assert.match(cost(jobSpec(form({ kind: "slice", images: "some", subsetCount: "10" })), dataset), /^51 points × 10 images = 510 /);
});

test("the time is guessed from an earlier job on the same checkpoint, in proportion to the work", () => {
  const spec = jobSpec(form());
  const done = { state: "done", started: "2026-01-01T00:00:00Z", finished: "2026-01-01T00:00:20Z", spec: { ...spec, grid: { alpha: { min: -1, max: 1, count: 51 } }, subset: { count: 500, seed: 0 } } };
  assert.equal(estimate(spec, [done], dataset), 20 * 51 * 3);
  assert.equal(estimate({ ...spec, checkpoint: "another" }, [done], dataset), null);
});

test("the center is on the grid where both axes hold 0", () => {
  assert.equal(centerOnGrid(jobSpec(form())), true);
  assert.equal(centerOnGrid(jobSpec(form({ alphaCount: "50" }))), false);
  assert.equal(centerOnGrid(jobSpec(form({ kind: "slice", alphaMin: "0.5", alphaMax: "1" }))), false);
});
